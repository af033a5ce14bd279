package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What stands in the repository is what the generator writes.
func TestGenerated(t *testing.T) {
	for name, write := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, write().bytes()) {
			t.Errorf("%s is not what the generator writes: run go generate ./internal/sha256d", name)
		}
	}
}
