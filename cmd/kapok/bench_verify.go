package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus/batch"
)

func benchVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "how fast signatures are verified",
		Description: "Batches of BIP340 signatures, as a block's are verified, and the library that verifies\n" +
			"one by one (btcec) take turns in short slices.\n\n" +
			"Examples:\n" +
			"   kapok bench verify                one thread, 10 s\n" +
			"   kapok bench verify --threads 2    two at once; figures are of both together",
		Flags:  raceFlags(),
		Action: raceAction(verifyRace),
	}
}

// verifySizes are the batches that are measured, in signatures.
var verifySizes = []int{1, 8, 64, 512, 2048, 5000}

func verifyRace() (*race, error) {
	all, err := manySignatures(verifySizes[len(verifySizes)-1])
	if err != nil {
		return nil, err
	}
	var secret [32]byte // nobody chooses signatures against a measurement
	r := &race{bench: "verify", unit: "signatures"}
	for _, size := range verifySizes {
		// The first of the batch are not always the same ones.
		some := func(at uint32) []batch.Signature {
			from := int(at) * size % (len(all) - size + 1)
			return all[from : from+size]
		}
		r.contenders = append(r.contenders, contender{
			name: fmt.Sprintf("batches of %d", size), kind: "kernel", versions: 1, batch: 1,
			start: func() func(uint32, uint32) int {
				return func(at, n uint32) (verified int) {
					for i := range n {
						if batch.Verify(some(at+i), &secret) {
							verified += size
						}
					}
					return verified
				}
			},
		})
	}
	r.baseline = len(r.contenders)
	r.contenders = append(r.contenders, contender{
		name: "btcec, one by one", kind: "baseline", versions: 1, batch: 1,
		start: func() func(uint32, uint32) int {
			return func(at, n uint32) (verified int) {
				for i := range n {
					if verifiedAlone(&all[int(at+i)%len(all)]) {
						verified++
					}
				}
				return verified
			}
		},
	})
	return r, proveVerify(all)
}

// proveVerify makes sure that both say yes and no where they should.
func proveVerify(all []batch.Signature) error {
	bad := all[0]
	bad.Message[0] ^= 1
	if !batch.Verify(all, &[32]byte{}) || batch.Verify([]batch.Signature{all[1], bad}, &[32]byte{}) || !verifiedAlone(&all[0]) || verifiedAlone(&bad) {
		return errors.New("signatures are judged wrongly: it is not measured")
	}
	return nil
}

func verifiedAlone(s *batch.Signature) bool {
	key, err := schnorr.ParsePubKey(s.Key[:])
	if err != nil {
		return false
	}
	signature, err := schnorr.ParseSignature(s.Signature[:])
	return err == nil && signature.Verify(s.Message[:], key)
}

// manySignatures makes so many, each by a key of its own.
func manySignatures(n int) ([]batch.Signature, error) {
	all := make([]batch.Signature, n)
	for i := range all {
		var secret [32]byte
		binary.BigEndian.PutUint32(secret[28:], uint32(i+1))
		key, public := btcec.PrivKeyFromBytes(secret[:])
		all[i].Message = secret
		signature, err := schnorr.Sign(key, all[i].Message[:], schnorr.FastSign())
		if err != nil {
			return nil, err
		}
		all[i].Key, all[i].Signature = [32]byte(schnorr.SerializePubKey(public)), [64]byte(signature.Serialize())
	}
	return all, nil
}
