package host

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/kapok-chain/kapok/consensus"
)

func TestKeyFile(t *testing.T) {
	silent := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "new", "node.key")
	first, err := loadIdentity(path, silent)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files beside the key", len(left)-1)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := loadIdentity(path, silent)
	if err != nil || !again.Equals(first) {
		t.Fatalf("read back: %v", err)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v after reading", info.Mode())
	}

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := crypto.MarshalPrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{
		"empty": {}, "truncated": whole[:40], "another kind of key": foreign,
		"huge": make([]byte, maxKeyFile+1),
	}
	for i := range whole {
		flipped := append([]byte{}, whole...)
		flipped[i] ^= 1
		damaged[fmt.Sprintf("bit flipped in byte %d", i)] = flipped
	}
	for name, content := range damaged {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadIdentity(path, silent)
		if err == nil || !strings.Contains(err.Error(), path+" is damaged") {
			t.Errorf("%s: error %v, expected a damaged file", name, err)
		}
		if left, _ := os.ReadFile(path); string(left) != string(content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := loadIdentity(t.TempDir(), silent); err == nil {
		t.Error("a directory was read as a key file")
	}
}

func TestConfigErrors(t *testing.T) {
	for say, c := range map[string]Config{
		"genesis hash":         {},
		"has 5 bytes":          {GenesisHash: testGenesis, PSK: []byte("short")},
		"for test networks":    {GenesisHash: consensus.Main().GenesisHash(), PSK: make([]byte, 32)},
		"none below 0":         {GenesisHash: testGenesis, MaxIn: -1},
		"expected host:port":   {GenesisHash: testGenesis, Peers: []string{"nonsense"}},
		"expected a TCP":       {GenesisHash: testGenesis, Listen: []string{"/ip4/127.0.0.1/udp/1/quic-v1"}},
		"is no port":           {GenesisHash: testGenesis, Listen: []string{"127.0.0.1:http"}},
		"cannot listen on TCP": {GenesisHash: testGenesis, Listen: []string{"192.0.2.1:5"}},
	} {
		if h, err := New(c); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("error %v, expected it to say %q", err, say)
			if h != nil {
				_ = h.Close()
			}
		}
	}
}

func TestShortAddrs(t *testing.T) {
	c := lean()
	c.Listen = []string{"127.0.0.1:0"}
	c.DisableQUIC = false
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if short := h.ShortAddrs(); len(short) != 1 || !strings.HasPrefix(short[0], "127.0.0.1:") {
		t.Errorf("short addresses %v", short)
	}
	if full := h.Addrs(); len(full) != 2 || !strings.HasSuffix(full[0], "/p2p/"+string(h.ID())) {
		t.Errorf("full addresses %v", full)
	}
}
