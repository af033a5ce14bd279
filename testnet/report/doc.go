// Package report makes sense of a run directory: Summarize computes its figures, HTML
// writes them as one page that needs no network, with plots as SVG. It reads what
// package record holds and measures nothing itself.
package report
