package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// FuzzDecodeInventory: whatever the lines say, and be their checksum right, the answer
// is damage or what is written as the same.
func FuzzDecodeInventory(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		text := fmt.Appendf(bytes.Clone(body), "checksum=%08x\n", crc32.Checksum(body, castagnoli))
		var v inventory
		var err error
		frugal.Call(t, "decodeInventory", len(text), func() { v, err = decodeInventory(text) })
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v is no damage", err)
			}
			return
		}
		if again, err := decodeInventory(v.encode()); err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("%q is read as %+v, not %+v: %v", v.encode(), again, v, err)
		}
	})
}
