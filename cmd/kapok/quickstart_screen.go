package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/wallet"
)

// screen shows the quickstart: lines for what happened, and on a terminal one
// live line below them for what is going on. With --json it shows nothing.
type screen struct {
	w       io.Writer
	live    bool   // a person is looking: the last line is rewritten in place
	line    string // the live line as it stands
	began   time.Time
	readyMS float64
}

func newScreen(w io.Writer, quiet bool) *screen {
	s := &screen{w: w, live: isTerminal(w), began: time.Now()}
	if quiet {
		s.w, s.live = io.Discard, false
	}
	return s
}

// say writes a line above the live one.
func (s *screen) say(format string, args ...any) {
	if s.live && s.line != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
	fmt.Fprintf(s.w, format+"\n", args...)
	if s.live && s.line != "" {
		fmt.Fprint(s.w, s.line)
	}
}

// event writes a line with the time since the banner in front.
func (s *screen) event(format string, args ...any) {
	s.say("%7.1f s  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// show replaces the live line.
func (s *screen) show(line string) {
	if !s.live {
		return
	}
	s.line = fitted(s.w, line)
	fmt.Fprint(s.w, "\r\x1b[K"+s.line)
}

// fitted cuts a line to the width of the terminal: a longer one would wrap, and
// could not be rewritten in place.
func fitted(w io.Writer, line string) string {
	file, ok := w.(*os.File)
	if !ok {
		return line
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if runes := []rune(line); err == nil && width > 0 && len(runes) >= width {
		return string(runes[:width-1])
	}
	return line
}

// banner says what runs, where it is, and what to type next.
func (s *screen) banner(p *plan, f *fleet, ready time.Duration) {
	s.readyMS = float64(ready.Microseconds()) / 1000
	first := f.nodes[0].ready
	s.say("kapok %s · network %s · %d nodes, ready in %.1f s\n", version, p.params.Name, len(f.nodes), ready.Seconds())
	for i, member := range f.nodes {
		role := "validates and relays"
		if i == 0 {
			role = "mines"
			if p.hashrate > 0 {
				role = "mines, at most " + formatHashrate(p.hashrate)
			}
		}
		s.say("  node %d    %-24s rpc http://%s", i+1, role, member.ready.RPC)
	}
	s.say("\n  wallet A  %s   pays, from node 1", p.wallets[0].address)
	s.say("  wallet B  %s   is paid, on node 3", p.wallets[1].address)
	s.say("            INSECURE: both come from words that everybody knows. They hold mined play money.")
	s.say("\n  explorer  http://%s", first.Pages)
	s.say("\n  Pay from another terminal:")
	s.say("    %s wallet send --network dev --dev-wallet a --rpc %s --cookie %s %s 1.5",
		programName(), first.RPC, first.Cookie, p.wallets[1].address)
	s.say("  Join with another node, or from another laptop (start with --listen 0.0.0.0:%d):", p.params.P2PPort)
	// A directory of its own each time: blocks of an earlier quickstart would be a
	// longer chain of the same network, and undo what this one shows.
	s.say("    %s node --network dev --listen 0.0.0.0:0 --rpc 127.0.0.1:0 --datadir \"$(mktemp -d)\" --peer %s\n",
		programName(), reachable(first.Addresses))
}

// programName is what to type to run this program again.
func programName() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/kapok"
	}
	return os.Args[0]
}

// reachable prefers an address that another machine can dial.
func reachable(addrs []string) string {
	for _, a := range addrs {
		if !strings.Contains(a, "/127.0.0.1/") && !strings.Contains(a, "/::1/") && strings.Contains(a, "/tcp/") {
			return a
		}
	}
	for _, a := range addrs {
		if strings.Contains(a, "/tcp/") {
			return a
		}
	}
	return addrs[0]
}

func (s *screen) block(tip *tipEvent, params *consensus.Params) {
	s.event("block %-4d %s…  %d tx  difficulty %s hashes%s", tip.Height, tip.Hash[:16], tip.Txs,
		formatCount(tip.Difficulty), maturityNote(tip.Height, params))
}

// maturityNote counts down to the first coin that can be spent.
func maturityNote(height uint32, params *consensus.Params) string {
	if left := int64(params.Maturity) - int64(height); left > 0 {
		return fmt.Sprintf("  (first coins mature in %d)", left)
	}
	return ""
}

func (s *screen) mining(c *chainstate, used energy.Reading) {
	m := &c.mining
	s.show(fmt.Sprintf("  mining %s · height %d · difficulty %s · luck %.2f · %.3g J %s",
		formatHashrate(m.HashesPerS), c.tips[0].Height, formatCount(c.tips[0].Difficulty), m.Luck, used.Joules, energyWord(used)))
}

// energyWord says in a word where the joules come from; the summary has the
// whole method.
func energyWord(used energy.Reading) string {
	if used.Measured {
		return "measured"
	}
	return "(model)"
}

func (s *screen) paymentMade(p *plan, t *paymentTrace) {
	s.event("payment    %s from A to B, fee %d units, txid %s", wallet.FormatAmount(t.amount), t.fee, t.txid)
}

func (s *screen) paymentSeen(node int, after time.Duration) {
	verb := "seen by"
	if node == 1 {
		verb = "accepted by"
	}
	s.event("payment    %s node %d after %s", verb, node, formatMS(after))
}

func (s *screen) paymentInBlock(t *paymentTrace, after time.Duration) {
	s.event("payment    in block %d after %s", t.height, formatMS(after))
}

func (s *screen) paymentConfirmed(node int, confirmations, height uint32) {
	s.event("payment    %d of %d confirmations on node %d (height %d)", confirmations, quickstartConfirms, node, height)
}

func (s *screen) goOn() {
	s.say("\nMining goes on. Ctrl-C ends it.\n")
}

// summary is the story in figures.
func (s *screen) summary(q *quickstartSummary) {
	s.show("")
	p, e := &q.Payment, &q.Energy
	s.say("\nThe payment is confirmed on all %d nodes.\n", len(q.Nodes))
	s.say("  blocks        %d in %.1f s: one every %.2f s (target %g s) at %s", q.Blocks, q.SpacingS*float64(q.Blocks), q.SpacingS, q.TargetS, formatHashrate(q.HashesPerS))
	s.say("  confirmation  %.0f ms = %.1f accepting + %.1f gossip + %.0f waiting for a block + %.1f block propagation",
		p.ConfirmedMS, p.AcceptedMS, p.GossipMS, p.WaitMS, p.SpreadMS)
	s.say("  energy        %.4g J in all: %.3g J per block, %.3g J for the one payment, %.3g J per hash", e.TotalJoules, e.JoulesPerBlock, e.JoulesPerPayment, e.JoulesPerHash)
	s.say("                %s", e.Method)
	for _, n := range q.Nodes {
		s.say("  node %d        %d confirmations, %d coins, coin sum %s…", n.Node, n.Confirmations, n.Coins, n.CoinSum[:16])
	}
}

// formatMS writes a delay for people.
func formatMS(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// formatCount writes a large count for people: 4.19 M.
func formatCount(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.3g %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f", n)
}
