package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
)

// Dial says how a Client reaches a server.
type Dial struct {
	URL            string // such as http://127.0.0.1:19421
	CookieFile     string // read before the first call, and again when the server refuses it
	User, Password string // used where Password is not ""
}

// Reasons why a call got no answer. They are wrapped, with what to do next.
var (
	ErrNoServer   = errors.New("no node answers")
	ErrNotAllowed = errors.New("the node does not let us in")
)

// maxAnswer bounds what a server may answer, in bytes: a batch, and its last call.
const maxAnswer = 2 * maxReply

// Client calls a server's methods. It is safe for concurrent use.
type Client struct {
	dial Dial
	http http.Client

	mu             sync.Mutex // of the cookie
	user, password string
}

// NewClient returns a client. It connects when it is used.
func NewClient(dial Dial) *Client {
	// An own transport: connections of one client are closed with it, and no
	// proxy stands between a node and its owner.
	return &Client{dial: dial, http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
}

// Close gives idle connections up.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is a call of a Batch.
type Request struct {
	Method string
	Params []any
}

// Call asks for a method with parameters by position, and reads the result into
// a pointer, or drops it where that is nil. What the server refuses is an *Error.
func (c *Client) Call(ctx context.Context, method string, result any, params ...any) error {
	raw, err := json.Marshal(orEmpty(params))
	if err != nil {
		return fmt.Errorf("rpc %s: %w", method, err)
	}
	answer, err := c.Forward(ctx, method, raw)
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("rpc %s: the answer is not what was expected: %w", method, err)
	}
	return nil
}

// Forward passes parameters and the result on as they are.
func (c *Client) Forward(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	body, err := json.Marshal(wireRequest{"2.0", method, params, 0})
	if err != nil {
		return nil, fmt.Errorf("rpc %s: %w", method, err)
	}
	var r reply
	if err := c.post(ctx, body, &r); err != nil {
		return nil, fmt.Errorf("rpc %s: %w", method, err)
	}
	if r.Error != nil {
		return nil, r.Error
	}
	return r.Result, nil
}

type wireRequest struct {
	Version string          `json:"jsonrpc"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	ID      int             `json:"id"`
}

// Batch makes many calls at once. The result of each is read by visit, which
// gets its number and either the answer or the *Error.
func (c *Client) Batch(ctx context.Context, requests []Request, visit func(i int, answer json.RawMessage, failure *Error) error) error {
	for begin := 0; begin < len(requests); begin += maxBatch {
		part := requests[begin:min(begin+maxBatch, len(requests))]
		wire := make([]wireRequest, len(part))
		for i, r := range part {
			params, err := json.Marshal(orEmpty(r.Params))
			if err != nil {
				return fmt.Errorf("rpc %s: %w", r.Method, err)
			}
			wire[i] = wireRequest{"2.0", r.Method, params, i}
		}
		body, err := json.Marshal(wire)
		if err != nil {
			return fmt.Errorf("rpc batch: %w", err)
		}
		var replies []reply
		if err := c.post(ctx, body, &replies); err != nil {
			return fmt.Errorf("rpc batch: %w", err)
		}
		if len(replies) != len(part) {
			return fmt.Errorf("rpc batch: %d answers to %d calls", len(replies), len(part))
		}
		for i := range replies { // our server answers in order
			if err := visit(begin+i, replies[i].Result, replies[i].Error); err != nil {
				return err
			}
		}
	}
	return nil
}

// post sends a body. A refused cookie is read again once: the node may have been
// started anew since.
func (c *Client) post(ctx context.Context, body []byte, answer any) error {
	for retry := false; ; retry = true {
		user, password, err := c.login(retry)
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.dial.URL, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.SetBasicAuth(user, password)
		request.Header.Set("Content-Type", "application/json")
		response, err := c.http.Do(request)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if where := new(url.Error); errors.As(err, &where) {
				err = where.Err // without the URL, which is said already
			}
			return fmt.Errorf("%w at %s (%w)", ErrNoServer, c.dial.URL, err)
		}
		if response.StatusCode == http.StatusUnauthorized && !retry && c.dial.Password == "" {
			response.Body.Close()
			continue
		}
		return read(response, answer)
	}
}

func read(response *http.Response, answer any) error {
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("the answer breaks off: %w", err)
	case len(text) > maxAnswer:
		return fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case response.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: wrong user, password or cookie", ErrNotAllowed)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: %q is no JSON-RPC answer", response.Status, clip(string(text)))
	}
	return nil
}

// login returns what to log in with, from the cookie file where need be.
func (c *Client) login(again bool) (user, password string, err error) {
	if c.dial.Password != "" || c.dial.CookieFile == "" {
		return c.dial.User, c.dial.Password, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.password == "" || again {
		c.user, c.password, err = readCookie(c.dial.CookieFile)
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", fmt.Errorf("%w: there is no cookie file %s, which a running node would have written", ErrNoServer, c.dial.CookieFile)
		}
	}
	return c.user, c.password, err
}
