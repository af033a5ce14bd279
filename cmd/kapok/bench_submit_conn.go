package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// A rawConn is a connection to an RPC server that sends calls which were written
// beforehand, and reads of an answer only whether all is well: what it costs is taken
// from a node on the same machine.
type rawConn struct {
	conn   net.Conn
	reader *bufio.Reader
	answer bytes.Buffer
}

// rawCall is an HTTP request.
type rawCall struct {
	bytes    []byte
	payments int // in it
}

// encodeCalls writes the requests that hand in payments in hex, so many in each; where
// batch is 0, each in a call of its own.
func encodeCalls(at *readyEvent, payments []string, batch int) (calls []rawCall, err error) {
	for from := 0; from < len(payments); {
		to := min(from+max(1, batch), len(payments))
		var body strings.Builder
		for i, payment := range payments[from:to] {
			if i > 0 {
				body.WriteByte(',')
			}
			body.WriteString(`{"jsonrpc":"2.0","id":` + strconv.Itoa(i) + `,"method":"sendrawtransaction","params":["` + payment + `"]}`)
		}
		text := body.String()
		if batch > 0 {
			text = "[" + text + "]"
		}
		request, err := encodeCall(at, text)
		if err != nil {
			return nil, err
		}
		calls = append(calls, rawCall{request, to - from})
		from = to
	}
	return calls, nil
}

// encodeCall writes the request with this body.
func encodeCall(at *readyEvent, body string) ([]byte, error) {
	cookie, err := os.ReadFile(at.Cookie)
	if err != nil {
		return nil, err
	}
	login := base64.StdEncoding.EncodeToString(bytes.TrimSpace(cookie))
	return []byte("POST / HTTP/1.1\r\nHost: " + at.RPC + "\r\nAuthorization: Basic " + login +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body), nil
}

func dialRaw(addr string) (*rawConn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &rawConn{conn: conn, reader: bufio.NewReader(conn)}, nil
}

func (c *rawConn) close() { c.conn.Close() }

// call makes a call, and fails unless every payment in it was taken.
func (c *rawConn) call(call rawCall) error {
	if _, err := c.conn.Write(call.bytes); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	c.answer.Reset()
	_, err = io.Copy(&c.answer, response.Body)
	response.Body.Close()
	if err != nil {
		return err
	}
	if taken := bytes.Count(c.answer.Bytes(), []byte(`"error":null`)); response.StatusCode != http.StatusOK || taken != call.payments {
		return fmt.Errorf("%s: %d of %d payments were taken: %.300s", response.Status, taken, call.payments, c.answer.String())
	}
	return nil
}
