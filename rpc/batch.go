package rpc

import (
	"context"
	"encoding/json"
	"net/http"
)

// A Gatherer is a Dispatcher that answers some calls cheaper together than one by one:
// those of a method that Gathers, which follow each other in a batch. Together returns a
// result or an error for each, as Call would in that order.
type Gatherer interface {
	Gathers(method string) bool
	Together(ctx context.Context, method string, params []json.RawMessage) (results []any, errs []error)
}

// handleBatch answers requests in order.
func (s *Server) handleBatch(ctx context.Context, raw []json.RawMessage) (status int, answer []byte) {
	if len(raw) == 0 {
		return http.StatusOK, []byte("[]")
	}
	requests, wrong := make([]request, len(raw)), make([]error, len(raw))
	for i := range raw {
		requests[i], wrong[i] = parseRequest(raw[i])
	}
	answer = []byte{'['}
	for from := 0; from < len(requests); {
		to := from + s.alike(requests[from:], wrong[from:])
		for i, r := range s.answerAll(ctx, requests[from:to], wrong[from], len(answer) <= maxReply) {
			if requests[from+i].notification {
				continue
			}
			if len(answer) > 1 {
				answer = append(answer, ',')
			}
			answer = append(answer, encode(r)...)
		}
		from = to
	}
	if len(answer) == 1 {
		return http.StatusNoContent, nil
	}
	return http.StatusOK, append(answer, ']')
}

// alike is how many requests, from the first on, are answered together: 1 or more.
func (s *Server) alike(requests []request, wrong []error) int {
	gatherer, ok := s.dispatch.(Gatherer)
	if !ok || wrong[0] != nil || !gatherer.Gathers(requests[0].method) {
		return 1
	}
	n := 1
	for n < len(requests) && wrong[n] == nil && requests[n].method == requests[0].method {
		n++
	}
	return n
}

// answerAll answers requests that are alike. Where there is more than one nothing is
// wrong with any.
func (s *Server) answerAll(ctx context.Context, requests []request, wrong error, room bool) []reply {
	if wrong == nil && !room {
		wrong = fail(CodeMisc, "the answers of this batch exceed %d bytes: ask for less at a time", maxReply)
	}
	replies := make([]reply, len(requests))
	if wrong != nil || len(requests) == 1 {
		for i := range requests {
			replies[i] = s.answer(ctx, &requests[i], wrong)
		}
		return replies
	}
	params := make([]json.RawMessage, len(requests))
	for i := range requests {
		params[i] = requests[i].params
	}
	results, errs := s.dispatch.(Gatherer).Together(ctx, requests[0].method, params)
	for i := range requests {
		replies[i] = s.replyTo(ctx, &requests[i], results[i], errs[i])
	}
	return replies
}
