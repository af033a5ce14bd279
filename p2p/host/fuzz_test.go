package host

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// What peers, operators and files say to the host, beside the frames of its stream.

// FuzzAddr: an address that is taken is written in one way, and that way is taken for
// the same.
func FuzzAddr(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		frugal.Call(t, "parsePeer", len(text), func() {
			info, err := parsePeer(text)
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Fatalf("%q: an error of two lines: %v", text, err)
				}
				return
			}
			if len(info.Addrs) != 1 || info.ID != "" && !isEd25519(info.ID) {
				t.Fatalf("%q is of %v", text, info)
			}
			written := info.Addrs[0].String()
			if info.ID != "" {
				full, err := peer.AddrInfoToP2pAddrs(&info)
				if err != nil {
					t.Fatal(err)
				}
				written = full[0].String()
			}
			if again, err := parsePeer(written); len(written) <= maxAddrLen && (err != nil || again.ID != info.ID || !again.Addrs[0].Equal(info.Addrs[0])) {
				t.Fatalf("%q is written as %q, and that is read as %v, %v", text, written, again, err)
			}
		})
		frugal.Call(t, "parseAddr", len(text), func() {
			if addr, err := parseAddr(text, true); err == nil {
				_, _ = tcpPort(addr)
			}
		})
		frugal.Call(t, "textAddr", len(text), func() {
			if addr, ok := textAddr(text); ok {
				if again, ok := textAddr(multiaddr(addr)); !ok || again != addr {
					t.Fatalf("%q is %s, which is written as %s and read as %s", text, addr, multiaddr(addr), again)
				}
			}
		})
	})
}

// FuzzDecodeBans: what a file of bans means, it means when it is written again, and no
// more are in force than are allowed.
func FuzzDecodeBans(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		var bans []ban
		var err error
		frugal.Call(t, "decodeBans", len(text), func() { bans, err = decodeBans(text) })
		if err != nil {
			if bans != nil {
				t.Fatal("bans beside an error")
			}
			return
		}
		file := bansFile{Version: bansVersion}
		g := newGater()
		for _, b := range bans {
			if (b.id == "") != b.prefix.IsValid() {
				t.Fatalf("%q is of an id and a subnet, or of neither", b.Target)
			}
			_ = g.ban(b) // twice, or over
			file.Bans = append(file.Bans, banRecord{b.Target, b.Created.Unix(), b.Until.Unix()})
		}
		if len(g.bans) > maxDenied {
			t.Fatalf("%d bans", len(g.bans))
		}
		written, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeBans(written)
		if err != nil || len(again) != len(bans) {
			t.Fatalf("%s: %v", written, err)
		}
		for i, b := range bans {
			if again[i] != b {
				t.Fatalf("%+v is read as %+v", b, again[i])
			}
		}
	})
}

// TestBansOfManyRecords: a file of the largest size, and of the smallest records, costs
// no memory.
func TestBansOfManyRecords(t *testing.T) {
	text := []byte(`{"version":1,"bans":[` + strings.Repeat("{},", maxBansFile/3-20) + `{}]}`)
	frugal.Call(t, "decodeBans", 0, func() {
		if _, err := decodeBans(text); err == nil || !strings.Contains(err.Error(), "bans") {
			t.Error(err)
		}
	})
}

// FuzzDecodeIdentity: a key file that is taken holds an Ed25519 key whose halves belong
// together, and is written as the same.
func FuzzDecodeIdentity(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = raw[:min(len(raw), maxKeyFile)] // as the reader of the file does
		var key crypto.PrivKey
		var err error
		frugal.Call(t, "decodeIdentity", len(raw), func() { key, err = decodeIdentity(raw) })
		if err != nil {
			return
		}
		if key.Type() != pb.KeyType_Ed25519 {
			t.Fatalf("a key of type %s", key.Type())
		}
		written, err := crypto.MarshalPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeIdentity(written); err != nil || !again.Equals(key) {
			t.Fatalf("%x is written as %x, and that is read as another: %v", raw, written, err)
		}
		signature, err := key.Sign([]byte("words"))
		if ok, bad := key.GetPublic().Verify([]byte("words"), signature); err != nil || bad != nil || !ok {
			t.Fatalf("%x does not sign: %v, %v", raw, err, bad)
		}
	})
}

// FuzzDecodePSK: a key of a private network is 32 bytes, whatever it is written like.
func FuzzDecodePSK(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		text = text[:min(len(text), maxPSKFile)]
		var key []byte
		var err error
		frugal.Call(t, "decodePSK", len(text), func() { key, err = decodePSK(text) })
		if err != nil {
			return
		}
		again, err := decodePSK([]byte("/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key) + "\n"))
		if len(key) != 32 || err != nil || !bytes.Equal(again, key) {
			t.Fatalf("%q is the key %x: %v", text, key, err)
		}
	})
}
