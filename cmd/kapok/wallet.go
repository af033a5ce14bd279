package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/wallet"
)

// walletFileName is the default wallet file, in the network's data directory.
const walletFileName = "wallet.kapok"

// Flags of the wallet commands.
var (
	walletFlag     = &cli.StringFlag{Name: "wallet", Usage: "wallet `FILE` (default: " + walletFileName + " in the data directory)"}
	devWalletFlag  = &cli.StringFlag{Name: "dev-wallet", Usage: "instead of a file, the development wallet `a|b`, whose words everybody knows: INSECURE"}
	passphraseFlag = &cli.StringFlag{Name: "passphrase-file", Usage: "read the passphrase from the first line of `FILE` (or from KAPOK_PASSPHRASE)"}
	wordsFlag      = &cli.IntFlag{Name: "words", Value: 12, Usage: "make a wallet of 12 or 24 words"}
	feeRateFlag    = &cli.StringFlag{Name: "fee-rate", Usage: "`UNITS` per virtual byte (default: the node's estimate)"}
	newFlag        = &cli.BoolFlag{Name: "new", Usage: "hand out an address that was never handed out before"}
	limitFlag      = &cli.IntFlag{Name: "limit", Value: 20, Usage: "show the last `N` transactions (0: all)"}
)

func walletCommand() *cli.Command {
	offline := []cli.Flag{networkFlag, dataDirFlag, walletFlag, passphraseFlag, jsonFlag}
	online := func(more ...cli.Flag) []cli.Flag {
		return clientFlags(append([]cli.Flag{walletFlag, devWalletFlag, passphraseFlag}, more...)...)
	}
	return &cli.Command{
		Name:  "wallet",
		Usage: "keys, addresses, balance, payments",
		Description: "Keys stay in the wallet's file, sealed with a passphrase. Balance, history and\n" +
			"payments ask a running node, which is told addresses and never keys.",
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "make a wallet", Flags: append(offline, wordsFlag), Action: walletCreate,
				Description: "Shows the words once: whoever has them has the coins, and without them a lost\nfile is lost money.\n\n" +
					"Examples:\n   kapok wallet create\n   KAPOK_PASSPHRASE=… kapok wallet create --network regtest --json",
			},
			{
				Name: "restore", Usage: "make a wallet from its words", Flags: offline, Action: walletRestore,
				Description: "Reads the words from the terminal or from standard input.\n\nExample:\n   kapok wallet restore",
			},
			{
				Name: "address", Usage: "the address to be paid at", Flags: append(offline, devWalletFlag, newFlag), Action: walletAddress,
				Description: "Examples:\n   kapok wallet address\n   kapok wallet address --new",
			},
			{
				Name: "balance", Usage: "what is owned: confirmed, pending, immature", Flags: online(), Action: walletBalance,
				Description: "Example:\n   kapok wallet balance",
			},
			{
				Name: "send", Usage: "pay", ArgsUsage: "ADDRESS AMOUNT", Flags: online(feeRateFlag), Action: walletSend,
				Description: "The amount is in KPK, with up to 8 decimals, or \"all\".\n\n" +
					"Examples:\n   kapok wallet send kpkl1… 1.5\n   kapok wallet send --fee-rate 2.5 kpkl1… all",
			},
			{
				Name: "history", Usage: "what came and went", Flags: online(limitFlag), Action: walletHistory,
				Description: "Example:\n   kapok wallet history --limit 5",
			},
		},
	}
}

// walletPath is the wallet's file.
func walletPath(c *cli.Context, params *consensus.Params) (string, error) {
	if path := c.String(walletFlag.Name); path != "" {
		return path, nil
	}
	dir, err := dataDirOf(c, params)
	return filepath.Join(dir, walletFileName), err
}

// existingWallet is the wallet's file, which is there, whole and of this network:
// said before the passphrase is asked for.
func existingWallet(c *cli.Context, params *consensus.Params) (string, error) {
	path, err := walletPath(c, params)
	if err != nil {
		return "", err
	}
	network, err := wallet.FileNetwork(path)
	if err == nil && network != params.Name {
		err = fmt.Errorf("%s is a wallet of network %s, not of %s: use --network %s, or another wallet", path, network, params.Name, network)
	}
	return path, err
}

// openWallet opens the wallet that the flags name. One that is only looked at is
// opened without its lock.
func openWallet(c *cli.Context, params *consensus.Params, readOnly bool) (*wallet.Wallet, error) {
	if name := c.String(devWalletFlag.Name); name != "" {
		i := strings.Index("ab", strings.ToLower(name))
		if len(name) != 1 || i < 0 {
			return nil, usageError(fmt.Sprintf("--dev-wallet %q: there are a and b", name))
		}
		w, err := wallet.New(params, wallet.DevWords()[i])
		if err == nil {
			fmt.Fprintf(c.App.ErrWriter, "development wallet %s: INSECURE, its words are public\n", name)
		}
		return w, err
	}
	path, err := existingWallet(c, params)
	if err != nil {
		return nil, err
	}
	passphrase, err := passphraseOf(c, false)
	if err != nil {
		return nil, err
	}
	return wallet.Open(path, params, passphrase, wallet.Options{Rand: rand.Reader, ReadOnly: readOnly})
}

// newWallet is the JSON document of `kapok wallet create` and `restore`. The
// words are there for a new wallet only: this is the one time they are shown.
type newWallet struct {
	Network string `json:"network"`
	File    string `json:"file"`
	Address string `json:"address"`
	Words   string `json:"words,omitempty"`
}

func walletCreate(c *cli.Context) error {
	words, err := wallet.NewWords(rand.Reader, c.Int(wordsFlag.Name))
	if err != nil {
		return err
	}
	made, err := makeWallet(c, words)
	if err != nil {
		return err
	}
	made.Words = words
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, made)
	}
	w := c.App.Writer
	fmt.Fprintln(w, "Write these words down, in order, on paper. Whoever has them has the coins; without")
	fmt.Fprintln(w, "them a lost file or passphrase is lost money. They are not shown again.")
	fmt.Fprintln(w)
	for i, word := range strings.Fields(words) {
		fmt.Fprintf(w, "  %2d %-10s", i+1, word)
		if i%4 == 3 {
			fmt.Fprintln(w)
		}
	}
	_, err = fmt.Fprintf(w, "\nwallet   %s\naddress  %s\n", made.File, made.Address)
	return err
}

func walletRestore(c *cli.Context) error {
	line, err := askWords(c.Context)
	if err != nil {
		return err
	}
	words, err := wallet.CheckWords(line)
	if err != nil {
		return err
	}
	made, err := makeWallet(c, words)
	if err != nil {
		return err
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, made)
	}
	_, err = fmt.Fprintf(c.App.Writer, "wallet   %s\naddress  %s\nIts coins show up in \"kapok wallet balance\".\n", made.File, made.Address)
	return err
}

// makeWallet writes a new wallet file.
func makeWallet(c *cli.Context, words string) (*newWallet, error) {
	if err := exactArgs(c, 0); err != nil {
		return nil, err
	}
	params, err := paramsOf(c)
	if err != nil {
		return nil, err
	}
	path, err := walletPath(c, params)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%s exists already and is never overwritten: open it, or choose another file with --wallet", path)
	}
	passphrase, err := passphraseOf(c, true)
	if err != nil {
		return nil, err
	}
	w, err := wallet.Create(path, params, words, passphrase, wallet.Options{Rand: rand.Reader})
	if err != nil {
		return nil, err
	}
	first, err := w.NewAddress()
	return &newWallet{Network: params.Name, File: path, Address: first}, errors.Join(err, w.Close())
}

func walletAddress(c *cli.Context) (err error) {
	if err := exactArgs(c, 0); err != nil {
		return err
	}
	params, err := paramsOf(c)
	if err != nil {
		return err
	}
	fresh := c.Bool(newFlag.Name)
	w, err := openWallet(c, params, !fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	var text string
	if fresh {
		text, err = w.NewAddress()
	} else {
		text, err = w.Address(wallet.Receive, max(w.Next(wallet.Receive), 1)-1)
	}
	if err != nil {
		return err
	}
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, map[string]string{"network": params.Name, "address": text})
	}
	_, err = fmt.Fprintln(c.App.Writer, text)
	return err
}

// withWallet opens wallet and node, and closes both.
func withWallet(c *cli.Context, args int, readOnly bool, do func(*wallet.Wallet, walletChain) error) (err error) {
	if err := exactArgs(c, args); err != nil {
		return err
	}
	params, client, err := networkAndClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.String(devWalletFlag.Name) == "" {
		if _, err := existingWallet(c, params); err != nil {
			return err
		}
	}
	chain := walletChain{client, params}
	if _, err := chain.Tip(c.Context); err != nil {
		return err // before the passphrase is asked for
	}
	w, err := openWallet(c, params, readOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return do(w, chain)
}

func walletBalance(c *cli.Context) error {
	return withWallet(c, 0, true, func(w *wallet.Wallet, chain walletChain) error {
		view, err := w.Sync(c.Context, chain)
		if err != nil {
			return err
		}
		b := view.Balance()
		if c.Bool(jsonFlag.Name) {
			return printJSON(c.App.Writer, struct {
				Height    uint32 `json:"height"`
				Confirmed string `json:"confirmed_kpk"`
				Pending   string `json:"pending_kpk"`
				Immature  string `json:"immature_kpk"`
				Total     string `json:"total_kpk"`
			}{view.Tip.Height, wallet.FormatCoins(b.Confirmed), wallet.FormatCoins(b.Pending),
				wallet.FormatCoins(b.Immature), wallet.FormatCoins(b.Total())})
		}
		return table(c.App.Writer,
			[2]string{"confirmed", wallet.FormatAmount(b.Confirmed)},
			[2]string{"pending", wallet.FormatAmount(b.Pending)},
			[2]string{"immature", fmt.Sprintf("%s (mined, spendable after %d blocks)", wallet.FormatAmount(b.Immature), view.Maturity)},
		)
	})
}

func walletSend(c *cli.Context) error {
	return withWallet(c, 2, false, func(w *wallet.Wallet, chain walletChain) error {
		payment := wallet.Payment{Address: c.Args().Get(0)}
		choices := payChoices()
		var err error
		if c.Args().Get(1) == "all" {
			choices.All = true
		} else if payment.Amount, err = wallet.ParseAmount(c.Args().Get(1)); err != nil {
			return err
		}
		if text := c.String(feeRateFlag.Name); text != "" {
			if choices.FeeRate, err = wallet.ParseFeeRate(text); err != nil {
				return err
			}
		}
		receipt, err := w.Pay(c.Context, chain, []wallet.Payment{payment}, choices)
		if receipt == nil {
			return err
		}
		return errors.Join(err, printReceipt(c, receipt))
	})
}

func printReceipt(c *cli.Context, r *wallet.Receipt) error {
	if c.Bool(jsonFlag.Name) {
		return printJSON(c.App.Writer, struct {
			TxID     string `json:"txid"`
			Amount   string `json:"amount_kpk"`
			FeeUnits int64  `json:"fee_units"`
			VSize    int    `json:"vsize_vb"`
			Change   string `json:"change_kpk"`
		}{r.TxID.String(), wallet.FormatCoins(r.Payments[0].Amount), r.Fee, r.VSize, wallet.FormatCoins(r.Change)})
	}
	return table(c.App.Writer,
		[2]string{"sent", wallet.FormatAmount(r.Payments[0].Amount) + " to " + r.Payments[0].Address},
		[2]string{"txid", r.TxID.String()},
		[2]string{"fee", fmt.Sprintf("%d units (%s, %d vB)", r.Fee, r.FeeRate, r.VSize)},
		[2]string{"change", wallet.FormatAmount(r.Change)},
	)
}

// historyEntry is one element of the JSON document of `kapok wallet history`.
type historyEntry struct {
	TxID          string           `json:"txid"`
	Direction     wallet.Direction `json:"direction"`
	Net           string           `json:"net_kpk"`
	FeeUnits      int64            `json:"fee_units"` // -1: unknown
	Height        uint32           `json:"height"`    // 0: in the mempool
	Confirmations uint32           `json:"confirmations"`
	Time          int64            `json:"time_unix_s"` // 0: unknown
	Counterparts  []string         `json:"counterparts"`
	Conflict      string           `json:"conflicts_with,omitempty"` // txid in a block: this one will not be confirmed
}

func walletHistory(c *cli.Context) error {
	return withWallet(c, 0, true, func(w *wallet.Wallet, chain walletChain) error {
		view, err := w.Sync(c.Context, chain)
		if err != nil {
			return err
		}
		entries, err := view.History(c.Context, chain, c.Int(limitFlag.Name))
		if err != nil {
			return err
		}
		if c.Bool(jsonFlag.Name) {
			list := make([]historyEntry, len(entries))
			for i, e := range entries {
				list[i] = historyEntry{e.TxID.String(), e.Direction, wallet.FormatCoins(e.Net), e.Fee, e.Height, e.Confirmations, e.Time,
					append([]string{}, e.Counterparts...), ""} // [] where there are none, not null
				if !e.Conflict.IsZero() {
					list[i].Conflict = e.Conflict.String()
				}
			}
			return printJSON(c.App.Writer, list)
		}
		return printHistory(c.App.Writer, entries)
	})
}

func printHistory(w io.Writer, entries []wallet.Entry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "nothing yet: be paid at \"kapok wallet address\", or mine to it")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "TIME (UTC)\tWHAT\tKPK\tCONFIRMATIONS\tWITH\tTXID")
	for _, e := range entries {
		at, state, with := "", "waiting", ""
		if e.Time > 0 {
			at = time.Unix(e.Time, 0).UTC().Format(time.DateTime)
		}
		if !e.Conflict.IsZero() {
			state = "conflicted"
		} else if e.Height > 0 {
			state = strconv.Itoa(int(e.Confirmations))
		}
		if len(e.Counterparts) > 0 {
			with = e.Counterparts[0]
			if more := len(e.Counterparts) - 1; more > 0 {
				with += fmt.Sprintf(" and %d more", more)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", at, e.Direction, wallet.FormatCoins(e.Net), state, with, e.TxID)
	}
	return t.Flush()
}

// defaultAddress is the wallet's own address, for commands that want one.
func defaultAddress(c *cli.Context, params *consensus.Params) (string, error) {
	w, err := openWallet(c, params, true)
	if err != nil {
		return "", err
	}
	text, err := w.Address(wallet.Receive, max(w.Next(wallet.Receive), 1)-1)
	return text, errors.Join(err, w.Close())
}
