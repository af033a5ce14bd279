package explorer

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

//go:embed assets
var assets embed.FS

// Bounds on what is kept open for visitors.
const (
	maxStreams  = 64               // browsers that follow the tip; others reload now and then
	heartbeat   = 15 * time.Second // keeps proxies from closing a quiet stream
	pageTimeout = 30 * time.Second // to deliver a page to the slowest reader
)

// policy lets a page load its own style and script, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Site is the explorer's http.Handler.
type Site struct {
	backend Backend
	version string
	logger  *slog.Logger
	pages   map[string]*template.Template
	mux     *http.ServeMux
	streams chan struct{}
}

// New returns the site. The version is that of the program, for the foot.
func New(b Backend, version string, logger *slog.Logger) (*Site, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Site{backend: b, version: version, logger: logger, pages: make(map[string]*template.Template), mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams)}
	for _, name := range []string{"home", "block", "tx", "address", "mempool", "peers", "problem"} {
		page, err := template.New("").Funcs(functions()).ParseFS(assets, "assets/layout.html", "assets/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("explorer: %w", err)
		}
		s.pages[name] = page
	}
	for pattern, page := range map[string]func(*http.Request) (*view, error){
		"GET /{$}":          s.home,
		"GET /block/{id}":   s.block,
		"GET /tx/{id}":      s.tx,
		"GET /address/{id}": s.address,
		"GET /mempool":      s.mempool,
		"GET /peers":        s.peers,
		"GET /search":       s.search,
		"GET /":             s.nothing,
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, page) })
	}
	s.mux.HandleFunc("GET /strip", func(w http.ResponseWriter, r *http.Request) { s.strip(w) })
	s.mux.HandleFunc("GET /events", s.events)
	s.mux.HandleFunc("GET /style.css", asset("assets/style.css", "text/css; charset=utf-8"))
	s.mux.HandleFunc("GET /live.js", asset("assets/live.js", "text/javascript; charset=utf-8"))
	s.mux.HandleFunc("GET /icon.svg", asset("assets/icon.svg", "image/svg+xml"))
	return s, nil
}

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		content, err := assets.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(content) // a reader who is gone needs no answer
	}
}

// view is a page to be rendered: a template, and what it shows.
type view struct {
	Page     string // name of the template
	Title    string
	Network  string
	Version  string
	Query    string // in the search box
	Height   uint32 // of the tip
	Data     any
	redirect string
	status   int
}

// problem is an error that the visitor is told, with its HTTP status.
type problem struct {
	status int
	text   string
	hint   string
}

func (p *problem) Error() string { return p.text }

func missing(text, hint string) error { return &problem{http.StatusNotFound, text, hint} }

func (s *Site) serve(w http.ResponseWriter, r *http.Request, page func(*http.Request) (*view, error)) {
	v, err := page(r)
	if err != nil {
		v = s.explain(r, err)
	}
	if v.redirect != "" {
		http.Redirect(w, r, v.redirect, http.StatusSeeOther)
		return
	}
	v.Network, v.Version, v.Height = s.backend.Params().Name, s.version, s.backend.Tip().Height
	if v.status == 0 {
		v.status = http.StatusOK
	}
	s.render(w, v, "layout")
}

// render writes a template as a whole, so that no page breaks off in the middle.
func (s *Site) render(w http.ResponseWriter, v *view, name string) {
	var body bytes.Buffer
	if err := s.pages[v.Page].ExecuteTemplate(&body, name, v); err != nil {
		s.logger.Error("explorer page failed", "page", v.Page, "error", err)
		http.Error(w, "This page could not be made. The node's log says why.", http.StatusInternalServerError)
		return
	}
	// Test recorders have no deadlines and need none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(pageTimeout))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(v.status)
	_, _ = w.Write(body.Bytes()) // a reader who is gone needs no answer
}

// explain turns an error into a page.
func (s *Site) explain(r *http.Request, err error) *view {
	p := new(problem)
	switch {
	case errors.As(err, &p):
	case errors.Is(err, ErrNotFound):
		p = &problem{http.StatusNotFound, "This does not exist here.", "It may be on another network, or not have arrived yet."}
	case errors.Is(err, ErrPruned):
		p = &problem{http.StatusNotFound, "This node pruned the block.", "It kept the header; another node may have all of it."}
	case errors.Is(err, ErrNoIndex):
		p = &problem{http.StatusNotFound, "This node keeps no index of transactions and addresses.", "Start it with --index to look them up; blocks can be looked up always."}
	default:
		s.logger.Error("explorer request failed", "path", r.URL.Path, "error", err)
		p = &problem{http.StatusInternalServerError, "The node could not read this.", "Its log says why. Nothing is lost by trying again."}
	}
	return &view{Page: "problem", Title: p.text, status: p.status, Data: p.page()}
}

type problemPage struct {
	Status     int
	Text, Hint string
}

func (p *problem) page() problemPage { return problemPage{p.status, p.text, p.hint} }

func (s *Site) nothing(*http.Request) (*view, error) {
	return nil, missing("There is no such page.", "Look for a block, a transaction or an address above.")
}

// strip is the part of the home page that the script fetches anew.
func (s *Site) strip(w http.ResponseWriter) {
	s.render(w, &view{Page: "home", Data: s.homePage(), status: http.StatusOK}, "live")
}

// events tells of each new tip, as server-sent events.
func (s *Site) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		http.Error(w, "too many browsers follow the chain already", http.StatusServiceUnavailable)
		return
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	for known := s.backend.Tip(); ; {
		if _, err := fmt.Fprintf(w, "event: tip\ndata: %d\n\n", known.Height); err != nil || control.Flush() != nil {
			return
		}
		_ = control.SetWriteDeadline(time.Now().Add(2 * heartbeat)) // as in render
		ctx, cancel := context.WithTimeout(r.Context(), heartbeat)
		err := s.backend.WaitTip(ctx, known.Hash)
		cancel()
		if r.Context().Err() != nil || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return
		}
		known = s.backend.Tip()
	}
}
