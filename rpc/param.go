package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// kind is what a parameter holds, and the Go type that it is parsed to.
type kind uint8

const (
	kindString kind = iota // string
	kindInt                // int64
	kindBool               // bool; also of 0 and 1
	kindLevel              // int64, of a number or a bool
	kindAmount             // Amount
	kindHash               // consensus.Hash
	kindBlock              // consensus.Hash or int64, a height
	kindHex                // []byte
	kindKey                // [32]byte, of an address
	kindList               // []json.RawMessage
	kindObject             // map[string]json.RawMessage
	kindQuery              // addressQuery
)

// param is a parameter of a method. Its name may have aliases behind a "|".
type param struct {
	name     string
	kind     kind
	optional bool
	def      any // its value where it is absent; of the kind's type, or nil
	about    string
}

func need(name string, k kind, about string) param { return param{name: name, kind: k, about: about} }

func option(name string, k kind, def any, about string) param {
	return param{name: name, kind: k, optional: true, def: def, about: about}
}

// title is the name without aliases.
func (p *param) title() string {
	name, _, _ := strings.Cut(p.name, "|")
	return name
}

// description says what to write, and what goes without saying.
func (p *param) description() string {
	text := map[kind]string{
		kindString: "string", kindInt: "number", kindBool: "boolean", kindLevel: "number or boolean",
		kindAmount: "number or string of coins", kindHash: "string, 64 hex digits", kindBlock: "string or number",
		kindHex: "string, hex", kindKey: "string, an address", kindList: "array", kindObject: "object",
		kindQuery: "object or string",
	}[p.kind]
	if !p.optional {
		return text + ", required"
	}
	if p.def == nil {
		return text + ", optional"
	}
	raw, err := json.Marshal(p.def)
	if err != nil {
		return text + ", optional"
	}
	return text + ", default " + string(raw)
}

// parse checks the JSON type (-3), then the value (-8, -22, -5).
func (p *param) parse(params *consensus.Params, raw json.RawMessage) (any, error) {
	switch p.kind {
	case kindInt:
		return p.parseInt(raw)
	case kindBool, kindLevel:
		return p.parseLevel(raw)
	case kindAmount:
		var a Amount
		if err := a.UnmarshalJSON(raw); err != nil {
			return nil, fail(CodeType, "%s: Invalid amount", p.title())
		}
		return a, nil
	case kindBlock:
		if raw[0] != '"' {
			return p.parseInt(raw)
		}
	case kindList:
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, p.wrongType(raw, "array")
		}
		return list, nil
	case kindObject:
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, p.wrongType(raw, "object")
		}
		return object, nil
	case kindQuery:
		return parseAddressQuery(params, raw)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, p.wrongType(raw, "string")
	}
	switch p.kind {
	case kindHash, kindBlock:
		return parseHash(p.title(), text)
	case kindHex:
		b, err := hex.DecodeString(text)
		if err != nil {
			return nil, fail(CodeDeserialization, "%s must be hexadecimal", p.title())
		}
		return b, nil
	case kindKey:
		return parseAddress(params, text)
	}
	return text, nil
}

func (p *param) parseInt(raw json.RawMessage) (any, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err == nil {
		return n, nil
	}
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return nil, fail(CodeType, "%s: JSON integer out of range", p.title())
	}
	return nil, p.wrongType(raw, "number")
}

func (p *param) parseLevel(raw json.RawMessage) (any, error) {
	level := int64(0)
	switch {
	case bytes.Equal(raw, []byte("true")):
		level = 1
	case bytes.Equal(raw, []byte("false")):
	default:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || p.kind == kindBool && n != 0 && n != 1 {
			return nil, p.wrongType(raw, map[kind]string{kindBool: "bool", kindLevel: "number"}[p.kind])
		}
		level = n
	}
	if p.kind == kindBool {
		return level == 1, nil
	}
	return level, nil
}

func (p *param) wrongType(raw json.RawMessage, want string) error {
	got := "number"
	switch raw[0] {
	case '"':
		got = "string"
	case '{':
		got = "object"
	case '[':
		got = "array"
	case 't', 'f':
		got = "bool"
	}
	return fail(CodeType, "%s: JSON value of type %s is not of expected type %s", p.title(), got, want)
}

func parseHash(name, text string) (consensus.Hash, error) {
	if len(text) != 2*consensus.HashSize {
		return consensus.Hash{}, fail(CodeInvalidParameter, "%s must be of length %d (not %d, for '%s')", name, 2*consensus.HashSize, len(text), clip(text))
	}
	h, err := consensus.ParseHash(text)
	if err != nil {
		return h, fail(CodeInvalidParameter, "%s must be hexadecimal string (not '%s')", name, clip(text))
	}
	return h, nil
}

func parseAddress(p *consensus.Params, text string) ([consensus.KeySize]byte, error) {
	key, err := address.Decode(p.HRP, text)
	if err != nil {
		return key, fail(CodeAddressOrKey, "Invalid address: %v", err)
	}
	return key, nil
}

// The parameters of a call. The table says which kind each has; a test holds the
// handlers against it.

func (c *call) has(i int) bool               { return c.args[i] != nil }
func (c *call) text(i int) string            { return arg[string](c, i) }
func (c *call) num(i int) int64              { return arg[int64](c, i) }
func (c *call) flag(i int) bool              { return arg[bool](c, i) }
func (c *call) amount(i int) Amount          { return arg[Amount](c, i) }
func (c *call) hash(i int) consensus.Hash    { return arg[consensus.Hash](c, i) }
func (c *call) bytes(i int) []byte           { return arg[[]byte](c, i) }
func (c *call) list(i int) []json.RawMessage { return arg[[]json.RawMessage](c, i) }

func (c *call) key(i int) [consensus.KeySize]byte { return arg[[consensus.KeySize]byte](c, i) }

func (c *call) object(i int) map[string]json.RawMessage {
	return arg[map[string]json.RawMessage](c, i)
}

// arg is the zero value for a parameter that is absent.
func arg[T any](c *call, i int) T {
	value, _ := c.args[i].(T)
	return value
}
