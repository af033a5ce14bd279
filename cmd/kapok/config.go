package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
)

// maxConfigFile bounds kapok.toml, in bytes: all keys take less than 1 kB, and the
// parser takes memory by the square of what is nested.
const maxConfigFile = 4 << 10

// configKeys are the settings that kapok.toml may hold: the flags of a node but
// for those that say where the file is, and what is done once.
var configKeys = map[string]bool{
	"listen": true, "peer": true, "bootstrap": true, "only-peers": true, "mdns": true, "dht": true, "port-map": true, "psk": true, "rpc": true, "rpc-user": true, "rpc-password": true, "http": true, "metrics": true,
	"mine": true, "threads": true, "kernel": true, "max-hashrate": true, "no-index": true, "no-quic": true, "lean": true,
	"coin-cache-mb": true, "mempool-mb": true, "log": true,
}

// configName is the config file's name in the data directory.
const configName = "kapok.toml"

// readConfigFile returns the settings of a config file, none where there is no
// file. A key that is no setting is an error.
func readConfigFile(path string) (map[string]any, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	if len(text) > maxConfigFile {
		return nil, fmt.Errorf("config file %s: longer than %d bytes", path, maxConfigFile)
	}
	var settings map[string]any
	if _, err := toml.Decode(string(text), &settings); err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if !configKeys[key] {
			return nil, fmt.Errorf("config file %s: unknown key %q (the keys are the flags of kapok node)", path, key)
		}
	}
	return settings, nil
}

// applyConfigFile sets the flags that the command line left alone to what the
// file says, as far as the command has such flags. A value that its flag refuses
// is an error.
func applyConfigFile(c *cli.Context, path string) error {
	settings, err := readConfigFile(path)
	if err != nil {
		return err
	}
	for _, flag := range c.Command.Flags {
		key := flag.Names()[0]
		value, ok := settings[key]
		if !ok || c.IsSet(key) {
			continue
		}
		list, isList := value.([]any)
		if _, many := flag.(*cli.StringSliceFlag); isList && !many {
			return fmt.Errorf("config file %s: %s wants one value, not a list", path, key)
		}
		if !isList {
			list = []any{value}
		}
		for _, element := range list {
			if err := c.Set(key, fmt.Sprint(element)); err != nil {
				return fmt.Errorf("config file %s: %s = %v: %w", path, key, element, err)
			}
		}
	}
	return nil
}

// clientAddr is where the RPC server of a node that listens on addr is reached
// from its own machine.
func clientAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
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
	var kernel sha256d.Kernel // nil for the fastest
	if name := c.String("kernel"); name != "" {
		var known bool
		if kernel, known = sha256d.Named(name); !known {
			return nil, usageError(fmt.Sprintf("--kernel %q: this CPU runs %s", name, strings.Join(kernelNames(), ", ")))
		}
	}
	return &miner.Config{
		Kernel: kernel, Threads: threads, MaxHashrate: rate, Payout: consensus.PayToKey(key), Text: "/kapok/", Blocks: c.Int("blocks"),
	}, nil
}

// kernelNames lists the mining kernels for this CPU.
func kernelNames() []string {
	var names []string
	for _, kernel := range sha256d.Kernels() {
		names = append(names, kernel.Name())
	}
	return names
}
