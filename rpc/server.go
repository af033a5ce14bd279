package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Bounds on connections, with the time that each stage of a request may take.
const (
	maxHeader     = 8192 // bytes, as in Core
	maxConns      = 256  // connections at a time; more wait in the kernel's queue
	maxCalls      = 128  // requests at work at a time; Core's work queue is 64
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second // of the largest answer, to the slowest reader
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 3 * time.Second // for answers under way when the server stops
)

// Dispatcher answers calls. An API is one; a program that answers some methods
// by itself may wrap it. The result is marshalled to JSON. Errors that are not
// an *Error are turned into one.
type Dispatcher interface {
	Call(ctx context.Context, method string, params json.RawMessage) (any, error)
}

// Config says who is let in.
type Config struct {
	CookieFile     string   // written by NewServer, removed by Run; "" for none
	User, Password string   // besides the cookie; none where Password is ""
	Hosts          []string // names besides localhost and IP addresses that the Host header may have
	Logger         *slog.Logger
}

// Server is the HTTP side: it lets in, parses, and hands on to a Dispatcher.
type Server struct {
	config   Config
	dispatch Dispatcher
	logger   *slog.Logger
	users    credentials
	cookie   string // secret
	calls    chan struct{}
}

// NewServer writes the cookie file. Run removes it.
func NewServer(config Config, dispatch Dispatcher) (*Server, error) {
	s := &Server{config: config, dispatch: dispatch, logger: config.Logger, calls: make(chan struct{}, maxCalls)}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if config.Password != "" {
		s.users.add(config.User, config.Password)
	}
	if config.CookieFile != "" {
		secret, err := writeCookie(config.CookieFile)
		if err != nil {
			return nil, err
		}
		s.cookie = secret
		s.users.add(cookieUser, secret)
	}
	return s, nil
}

// Run serves until ctx is over, then lets answers under way go out.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return calls },
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(limitListener(listener, maxConns)) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		cancel() // waiting calls end
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		if server.Shutdown(grace) != nil {
			err = server.Close()
		}
		done()
		<-failed
	}
	if s.cookie != "" {
		err = errors.Join(err, removeCookie(s.config.CookieFile, s.cookie))
	}
	return err
}

// ServeHTTP answers one HTTP request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, message := s.admit(r); status != http.StatusOK {
		s.refuse(w, r, status, message)
		return
	}
	select {
	case s.calls <- struct{}{}:
		defer func() { <-s.calls }()
	default:
		s.refuse(w, r, http.StatusServiceUnavailable, "too many calls at a time")
		return
	}
	control := http.NewResponseController(w)
	// Deadlines are refused by test recorders alone, which need none.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		s.refuse(w, r, status, "the body cannot be read: "+err.Error())
		return
	}
	_ = control.SetReadDeadline(time.Time{}) // a call may wait as long as its caller does
	status, answer := s.handle(r.Context(), body)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if len(answer) > 0 {
		_, err = w.Write(append(answer, '\n'))
	}
	if err != nil {
		s.logger.Debug("rpc answer not delivered", "error", err)
	}
	_ = control.SetWriteDeadline(time.Time{})
}

// admit judges everything but the body. The order matters: a browser's page is
// sent away before its password is looked at.
func (s *Server) admit(r *http.Request) (status int, message string) {
	switch {
	case r.URL.Path != "/":
		return http.StatusNotFound, "there is nothing but / here"
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "JSON-RPC is spoken over POST"
	case len(r.Header.Values("Origin")) > 0:
		return http.StatusForbidden, "requests of web pages are refused"
	case !s.allowHost(r.Host):
		return http.StatusForbidden, "the Host header names another host"
	case !s.users.allow(r):
		return http.StatusUnauthorized, "wrong user or password"
	case !isJSON(r.Header.Get("Content-Type")):
		return http.StatusBadRequest, "the Content-Type is application/json"
	}
	return http.StatusOK, ""
}

// allowHost keeps out pages whose name was made to point here (DNS rebinding):
// those carry a name, never an address.
func (s *Server) allowHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") {
		return true
	}
	for _, name := range s.config.Hosts {
		if strings.EqualFold(host, name) {
			return host != ""
		}
	}
	return false
}

// isJSON takes a missing type as well: a page cannot send it without an Origin.
func isJSON(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.TrimSpace(name)
	return name == "" || strings.EqualFold(name, "application/json") || strings.EqualFold(name, "application/json-rpc")
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	switch status {
	case http.StatusUnauthorized:
		s.logger.Warn("rpc login failed", "from", r.RemoteAddr)
		delay := time.NewTimer(failedLoginDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-r.Context().Done():
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="jsonrpc"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Connection", "close") // the body, however long, is not read
	http.Error(w, message, status)
}

// handle answers a body, single or batch. An empty answer belongs to
// notifications.
func (s *Server) handle(ctx context.Context, body []byte) (status int, answer []byte) {
	requests, batch, err := splitBatch(body)
	if err != nil {
		failure, _ := asError(err)
		return http.StatusBadRequest, encode((&request{id: null}).answer(nil, failure))
	}
	if !batch {
		req, err := parseRequest(requests[0])
		r := s.answer(ctx, &req, err)
		if req.notification {
			return http.StatusNoContent, nil
		}
		return httpStatus(req, r), encode(r)
	}
	return s.handleBatch(ctx, requests)
}

// answer makes a call, unless something is wrong with it already.
func (s *Server) answer(ctx context.Context, req *request, wrong error) reply {
	if wrong != nil {
		return s.replyTo(ctx, req, nil, wrong)
	}
	result, err := s.dispatch.Call(ctx, req.method, req.params)
	return s.replyTo(ctx, req, result, err)
}

func (s *Server) replyTo(ctx context.Context, req *request, result any, err error) reply {
	if err == nil {
		return req.answer(result, nil)
	}
	failure, ours := asError(err)
	if ours && ctx.Err() == nil {
		s.logger.Error("rpc call failed", "method", req.method, "error", err)
	}
	return req.answer(nil, failure)
}

// httpStatus is Core's: JSON-RPC 1.0 shows failures in the status line, 2.0
// does not.
func httpStatus(req request, r reply) int {
	if r.Error == nil || req.v2 {
		return http.StatusOK
	}
	switch r.Error.Code {
	case CodeInvalidRequest:
		return http.StatusBadRequest
	case CodeNoMethod:
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// encode writes a reply, all of whose parts are known to be JSON. The result may be
// megabytes: encoding/json would look through them again.
func encode(r reply) []byte {
	id, err := json.Marshal(r.ID)
	failure, err2 := json.Marshal(r.Error)
	if err != nil || err2 != nil {
		return []byte(`{"result":null,"error":{"code":-32603,"message":"internal error: encoding the answer"},"id":null}`)
	}
	b := make([]byte, 0, len(r.Result)+len(failure)+len(id)+64)
	b = append(b, '{')
	if r.Version != "" {
		b = append(append(append(b, `"jsonrpc":"`...), r.Version...), `",`...)
	}
	b = append(append(b, `"result":`...), r.Result...)
	b = append(append(b, `,"error":`...), failure...)
	b = append(append(b, `,"id":`...), id...)
	return append(b, '}')
}
