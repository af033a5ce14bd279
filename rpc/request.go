package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Bounds on what a body may hold.
const (
	maxBody  = 32 << 20 // bytes, as in Core; the largest block is 8 MB of hex
	maxDepth = 32       // levels of nesting; no method needs more than six
	maxBatch = 2000     // requests; the largest known page of a real client makes 1,094
	maxReply = 64 << 20 // bytes of one batch's answers, after which calls are refused
)

var null = json.RawMessage("null")

// request is one call. A request without an id is a notification in JSON-RPC
// 2.0, and is answered with a null id in 1.0.
type request struct {
	id           json.RawMessage
	method       string
	params       json.RawMessage
	v2           bool
	notification bool
}

// reply has both fields always, one of them null, in either version. The server writes
// it with encode, the client reads it.
type reply struct {
	Version string          `json:"jsonrpc,omitempty"`
	Result  json.RawMessage `json:"result"`
	Error   *Error          `json:"error"`
	ID      json.RawMessage `json:"id"`
}

// splitBatch checks the bounds of a body, and returns the requests in it.
func splitBatch(body []byte) (requests []json.RawMessage, batch bool, err error) {
	if err := checkDepth(body); err != nil {
		return nil, false, err
	}
	body = bytes.TrimSpace(body)
	if !json.Valid(body) {
		return nil, false, fail(CodeParse, "Parse error")
	}
	switch body[0] {
	case '{':
		return []json.RawMessage{body}, false, nil
	case '[':
		if err := json.Unmarshal(body, &requests); err != nil {
			return nil, true, fail(CodeParse, "Parse error")
		}
		if len(requests) > maxBatch {
			return nil, true, fail(CodeInvalidRequest, "a batch holds at most %d requests, not %d", maxBatch, len(requests))
		}
		return requests, true, nil
	}
	return nil, false, fail(CodeParse, "Top-level object parse error")
}

// checkDepth counts brackets outside of strings, before anything is parsed.
func checkDepth(body []byte) error {
	depth, commas := 0, 0
	inString, escaped := false, false
	for _, c := range body {
		switch {
		case escaped:
			escaped = false
		case inString:
			inString, escaped = c != '"', c == '\\'
		case c == '"':
			inString = true
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return fail(CodeParse, "Parse error: more than %d levels of nesting", maxDepth)
			}
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1:
			// A batch too long is refused before memory is spent on it.
			if commas++; commas >= maxBatch {
				return fail(CodeInvalidRequest, "a batch holds at most %d requests", maxBatch)
			}
		}
	}
	return nil
}

// parseRequest reads one request. What could be read of it is returned with the
// error, so that the answer carries its id.
func parseRequest(raw json.RawMessage) (request, error) {
	req := request{id: null}
	var fields map[string]json.RawMessage // by exact name; a struct would match any case
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return req, fail(CodeInvalidRequest, "Invalid Request object")
	}
	if id, ok := fields["id"]; ok {
		if first := id[0]; first == '{' || first == '[' {
			return req, fail(CodeInvalidRequest, "The id must be a string, a number or null")
		}
		req.id = id
	}
	if err := req.parseVersion(fields["jsonrpc"]); err != nil {
		return req, err
	}
	if _, ok := fields["id"]; !ok {
		req.notification = req.v2
	}
	method, ok := fields["method"]
	if !ok {
		return req, fail(CodeInvalidRequest, "Missing method")
	}
	if err := json.Unmarshal(method, &req.method); err != nil || method[0] != '"' {
		return req, fail(CodeInvalidRequest, "Method must be a string")
	}
	req.params = fields["params"]
	if len(req.params) > 0 && req.params[0] != '[' && req.params[0] != '{' && !bytes.Equal(req.params, null) {
		return req, fail(CodeInvalidRequest, "Params must be an array or object")
	}
	return req, nil
}

func (req *request) parseVersion(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var version string
	if err := json.Unmarshal(raw, &version); err != nil {
		return fail(CodeInvalidRequest, "jsonrpc field must be a string")
	}
	switch version {
	case "1.0", "1.1":
		return nil
	case "2.0":
		req.v2 = true
		return nil
	}
	return fail(CodeInvalidRequest, "JSON-RPC version not supported")
}

// answer builds the reply to a request.
func (req *request) answer(result any, failure *Error) reply {
	r := reply{Result: null, Error: failure, ID: req.id}
	if req.v2 {
		r.Version = "2.0"
	}
	if failure != nil {
		return r
	}
	if raw, ok := result.(json.RawMessage); ok { // by a method that knows what it wrote
		r.Result = raw
		return r
	}
	raw, err := json.Marshal(result)
	if err != nil {
		r.Error = &Error{CodeInternal, fmt.Sprintf("internal error: encoding the result: %v", err)}
		return r
	}
	r.Result = raw
	return r
}

// errorCode returns the code of an error made by fail.
func errorCode(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
