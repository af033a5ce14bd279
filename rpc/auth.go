package rpc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// cookieUser is the user name that the cookie file's secret belongs to (Core).
const cookieUser = "__cookie__"

// failedLoginDelay slows guessing down (Core, httprpc.cpp).
const failedLoginDelay = 250 * time.Millisecond

// credentials are hashes of "user:password" that are let in.
type credentials [][sha256.Size]byte

func (c *credentials) add(user, password string) {
	*c = append(*c, sha256.Sum256([]byte(user+":"+password)))
}

// allow compares in constant time, all of them always. Hashes have one length,
// so that not even that of the secret shows.
func (c credentials) allow(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	given := sha256.Sum256([]byte(user + ":" + password))
	match := 0
	for i := range c {
		match |= subtle.ConstantTimeCompare(c[i][:], given[:])
	}
	return ok && match == 1
}

// writeCookie makes a fresh secret and puts it into a file that only its owner
// may read. A file that is there already is replaced in one step.
func writeCookie(path string) (secret string, err error) {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("rpc cookie: %w", err)
	}
	secret = hex.EncodeToString(random[:])
	file, err := os.CreateTemp(filepath.Dir(path), ".cookie-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("rpc cookie: %w", err)
	}
	_, err = file.WriteString(cookieUser + ":" + secret)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("rpc cookie: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return secret, nil
}

// removeCookie deletes the file where it still holds our secret.
func removeCookie(path, secret string) error {
	user, found, err := readCookie(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || user != cookieUser || found != secret {
		return err
	}
	return os.Remove(path)
}

// readCookie returns the user and the secret in a cookie file.
func readCookie(path string) (user, secret string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	user, secret, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
	if !ok {
		return "", "", fmt.Errorf("%s is no cookie file", path)
	}
	return user, secret, nil
}
