package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
)

// maxConfigFile bounds kapok.toml, in bytes.
const maxConfigFile = 64 << 10

// configKeys are the settings that kapok.toml may hold: the flags of a node but
// for those that say where the file is.
var configKeys = map[string]bool{
	"listen": true, "peer": true, "rpc": true, "rpc-user": true, "rpc-password": true, "http": true,
	"mine": true, "threads": true, "max-hashrate": true, "no-index": true, "no-quic": true, "lean": true,
	"coin-cache-mb": true, "mempool-mb": true, "log": true,
}

// applyConfigFile sets the flags that the command line left alone to what the
// file says. A missing file is no error; an unknown key, or a value that its
// flag refuses, is one.
func applyConfigFile(c *cli.Context, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	if len(text) > maxConfigFile {
		return fmt.Errorf("config file %s: longer than %d bytes", path, maxConfigFile)
	}
	var settings map[string]any
	if _, err := toml.Decode(string(text), &settings); err != nil {
		return fmt.Errorf("config file %s: %w", path, err)
	}
	for key, value := range settings {
		if !configKeys[key] {
			return fmt.Errorf("config file %s: unknown key %q (the keys are the flags of kapok node)", path, key)
		}
		if c.IsSet(key) {
			continue
		}
		for _, text := range settingTexts(value) {
			if err := c.Set(key, text); err != nil {
				return fmt.Errorf("config file %s: %s = %s: %w", path, key, text, err)
			}
		}
	}
	return nil
}

// settingTexts writes a TOML value as it would stand on the command line, once
// for every element of a list.
func settingTexts(value any) []string {
	list, ok := value.([]any)
	if !ok {
		return []string{fmt.Sprint(value)}
	}
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = fmt.Sprint(list[i])
	}
	return texts
}

// listenAddrs fills in what --listen leaves out: all addresses, the network's
// port. "none" means not to listen at all.
func listenAddrs(flags []string, port int) []string {
	switch {
	case len(flags) == 0:
		return []string{net.JoinHostPort("0.0.0.0", strconv.Itoa(port))}
	case flags[0] == "none":
		return nil
	}
	return flags
}

// minerConfigOf reads the flags of mining.
func minerConfigOf(c *cli.Context, params *consensus.Params, to string) (*miner.Config, error) {
	key, err := address.Decode(params.HRP, to)
	if err != nil {
		return nil, fmt.Errorf("the address to mine to: %w", err)
	}
	rate, err := parseHashrate(c.String("max-hashrate"))
	if err != nil {
		return nil, err
	}
	threads := c.Int("threads")
	if threads < 0 {
		return nil, usageError("--threads: a positive number")
	}
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return &miner.Config{
		Threads: threads, MaxHashrate: rate, Payout: consensus.PayToKey(key), Text: "/kapok/", Blocks: c.Int("blocks"),
	}, nil
}
