package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// method is one row of the table that dispatch, help and docs/rpc.md follow.
type method struct {
	name   string
	group  string
	params []param
	about  string // what it does, in a sentence or two
	result string // what it answers
	run    func(*call) (any, error)
}

// call is a method at work, its parameters parsed.
type call struct {
	ctx  context.Context
	b    Backend
	api  *API
	args []any // one for each parameter, nil where it is absent and has no default
}

// API answers the node's methods from a Backend.
type API struct {
	backend Backend
	version string
	order   []*method
	methods map[string]*method
}

// NewAPI returns the node's methods. The version is that of the program, such
// as 0.1.0.
func NewAPI(b Backend, version string) *API {
	a := &API{backend: b, version: version, methods: make(map[string]*method)}
	for _, rows := range [][]method{
		chainMethods(), statsMethods(), coinMethods(), txMethods(), mempoolMethods(),
		miningMethods(), regtestMethods(), networkMethods(), addressMethods(), controlMethods(),
	} {
		for i := range rows {
			a.order = append(a.order, &rows[i])
			a.methods[rows[i].name] = &rows[i]
		}
	}
	return a
}

// Call answers one method.
func (a *API) Call(ctx context.Context, name string, params json.RawMessage) (any, error) {
	m, err := a.find(name)
	if err != nil {
		return nil, err
	}
	c, err := a.prepare(ctx, m, params)
	if err != nil {
		return nil, err
	}
	return m.run(c)
}

// together are the methods whose calls gain by being answered together. A call is nil
// where its parameters are wrong. The answers are those of one after another, and short:
// 1 kB each at most.
var together = map[string]func([]*call) ([]any, []error){"sendrawtransaction": sendRawTransactions}

// Gathers implements Gatherer.
func (a *API) Gathers(name string) bool { return together[name] != nil }

// Together implements Gatherer, for a method that Gathers.
func (a *API) Together(ctx context.Context, name string, params []json.RawMessage) (results []any, errs []error) {
	calls, wrong := make([]*call, len(params)), make([]error, len(params))
	for i := range params {
		calls[i], wrong[i] = a.prepare(ctx, a.methods[name], params[i])
	}
	results, errs = together[name](calls)
	for i, err := range wrong {
		if err != nil {
			errs[i] = err
		}
	}
	return results, errs
}

func (a *API) find(name string) (*method, error) {
	switch m := a.methods[name]; {
	case m != nil:
		return m, nil
	case slices.Contains(walletMethods(), name):
		return nil, fail(CodeNoMethod, "Method not found: %s belongs to the wallet, and this node holds no keys. Start `kapok wallet serve` and ask it there", name)
	}
	return nil, fail(CodeNoMethod, "Method not found")
}

// prepare parses the parameters of a call.
func (a *API) prepare(ctx context.Context, m *method, params json.RawMessage) (*call, error) {
	args, err := m.bind(a, params)
	if err != nil {
		return nil, err
	}
	return &call{ctx: ctx, b: a.backend, api: a, args: args}, nil
}

// bind brings positional or named parameters into the order of the table.
func (m *method) bind(a *API, params json.RawMessage) ([]any, error) {
	raw := make([]json.RawMessage, len(m.params))
	switch {
	case len(params) == 0 || params[0] == 'n':
	case params[0] == '{':
		if err := m.bindNamed(params, raw); err != nil {
			return nil, err
		}
	default:
		var list []json.RawMessage
		if err := json.Unmarshal(params, &list); err != nil {
			return nil, fail(CodeInvalidRequest, "Params must be an array or object")
		}
		if len(list) > len(raw) {
			return nil, fail(CodeMisc, "%s takes at most %d parameters, not %d\n\n%s", m.name, len(raw), len(list), m.usage())
		}
		copy(raw, list)
	}
	args := make([]any, len(raw))
	for i, p := range m.params {
		if len(raw[i]) == 0 || raw[i][0] == 'n' {
			if !p.optional {
				return nil, fail(CodeMisc, "%s needs the parameter %s\n\n%s", m.name, p.title(), m.usage())
			}
			args[i] = p.def
			continue
		}
		value, err := p.parse(a.backend.Params(), raw[i])
		if err != nil {
			return nil, err
		}
		args[i] = value
	}
	return args, nil
}

// bindNamed also takes Core's "args", the leading parameters by position.
func (m *method) bindNamed(params json.RawMessage, raw []json.RawMessage) error {
	var named map[string]json.RawMessage
	if err := json.Unmarshal(params, &named); err != nil {
		return fail(CodeInvalidRequest, "Params must be an array or object")
	}
	if args, ok := named["args"]; ok {
		var list []json.RawMessage
		if err := json.Unmarshal(args, &list); err != nil || len(list) > len(raw) {
			return fail(CodeInvalidParameter, "args must be an array of at most %d parameters", len(raw))
		}
		copy(raw, list)
		delete(named, "args")
	}
	for i, p := range m.params {
		for name := range strings.SplitSeq(p.name, "|") {
			value, ok := named[name]
			if !ok {
				continue
			}
			if raw[i] != nil {
				return fail(CodeInvalidParameter, "Parameter %s specified twice", name)
			}
			raw[i] = value
			delete(named, name)
		}
	}
	for name := range named {
		if len(named) == 1 {
			return fail(CodeInvalidParameter, "Unknown named parameter %s", clip(name))
		}
	}
	if len(named) > 0 {
		return fail(CodeInvalidParameter, "%d unknown named parameters; %s", len(named), m.usage())
	}
	return nil
}

// usage is the method's line in help.
func (m *method) usage() string {
	line := m.name
	for _, p := range m.params {
		if p.optional {
			line += " ( " + p.title() + " )"
		} else {
			line += " " + p.title()
		}
	}
	return line
}

// help is the method's page.
func (m *method) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", m.usage(), m.about)
	if len(m.params) > 0 {
		b.WriteString("\nArguments:\n")
	}
	for i, p := range m.params {
		fmt.Fprintf(&b, "%d. %s (%s) %s\n", i+1, p.title(), p.description(), p.about)
	}
	fmt.Fprintf(&b, "\nResult:\n%s\n", m.result)
	return b.String()
}

// clip bounds how much of a stranger's text an error repeats.
func clip(text string) string {
	const most = 80 // bytes; longer than a hash
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
