package rpc

import (
	"fmt"
	"slices"
	"strings"
)

// groups lists the groups of the table in alphabetical order.
func (a *API) groups() []string {
	var groups []string
	for _, m := range a.order {
		if !slices.Contains(groups, m.group) {
			groups = append(groups, m.group)
		}
	}
	slices.Sort(groups)
	return groups
}

// Reference is docs/rpc.md: every method, from the table that dispatch follows.
func Reference() string {
	a := NewAPI(nil, "")
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, group := range a.groups() {
		fmt.Fprintf(&b, "\n## %s\n", group)
		for _, m := range a.order {
			if m.group != group {
				continue
			}
			fmt.Fprintf(&b, "\n### %s\n\n`%s`\n\n%s\n", m.name, m.usage(), m.about)
			if len(m.params) > 0 {
				b.WriteString("\n| parameter | type | meaning |\n|---|---|---|\n")
			}
			for _, p := range m.params {
				name := strings.ReplaceAll(p.name, "|", " or ")
				fmt.Fprintf(&b, "| %s | %s | %s |\n", name, p.description(), strings.ReplaceAll(p.about, "|", `\|`))
			}
			fmt.Fprintf(&b, "\nResult: %s\n", m.result)
		}
	}
	return b.String()
}

const referenceHead = `# The node's RPC

<!-- Written by the test of package rpc from the method table: go test ./rpc -run Reference -update -->

JSON-RPC 1.0 and 2.0 over HTTP POST to ` + "`/`" + `, on 127.0.0.1 and the network's RPC port
(main 9421, local 19421, dev 29421, regtest 39421). Names, fields and error codes are
Bitcoin Core's, so that its tools work unchanged; fields that begin with ` + "`kapok_`" + ` are
ours.

- **Who may ask.** Basic auth, with the user and secret in ` + "`<datadir>/.cookie`" + ` (made at each
  start, readable by its owner alone), or a configured user and password. A wrong password
  is answered after 250 ms. Requests with an Origin header, or with a Host header that is
  neither an IP address nor localhost nor allowed by name, are refused: web pages have no
  business here. There are no CORS headers.
- **What to send.** ` + "`Content-Type: application/json`" + `; at most 32 MiB, 32 levels of nesting, 2000
  requests in a batch. Parameters by position or by name. A JSON-RPC 2.0 request without an
  id gets no answer.
- **What comes back.** ` + "`result` and `error`" + `, both always, one of them null. HTTP status as in
  Core: 200; for failures of JSON-RPC 1.0 also 400 (no request), 404 (no such method), 500.
- **Amounts** are coins, numbers with exactly eight decimals. Fields named satoshis, and
  those of getblocktemplate and getblockstats, are units of 10^-8 coins. Fee rates are coins
  per 1000 virtual bytes.

| code | meaning |
|---:|---|
| -32700 | the body is no JSON |
| -32600 | JSON, but no request; or a batch too long |
| -32601 | no such method; wallet methods are answered by ` + "`kapok wallet serve`" + ` |
| -32603 | a fault of the node, such as a failing disk |
| -1 | wrong number of parameters, and other faults |
| -3 | a parameter has the wrong JSON type |
| -5 | no such block, transaction or address |
| -8 | a parameter has a value that is not allowed |
| -9, -10 | not connected, still syncing (getblocktemplate on main) |
| -22 | a block or transaction does not decode |
| -23, -24, -29, -30 | peers: already added, not added, not connected, no such subnet |
| -25 | inputs are missing or spent, or a limit set by the caller is exceeded |
| -26 | a rule or the mempool's policy refuses it |
| -27 | already in the chain |
`
