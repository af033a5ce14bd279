package main

import (
	"bytes"
	"fmt"
	"html"
	"os"
)

// Measures of a chart, in pixels.
const (
	chartWidth  = 760
	chartLabels = 250 // left of the bars
	chartValues = 90  // right of them
	chartRow    = 28
	chartTop    = 56
)

// writeChart draws the medians of a race as bars, and the spread from p10 to p90 as
// a line on each.
func writeChart(file string, r *raceReport) error {
	var most float64
	for _, c := range r.Contenders {
		most = max(most, c.P90PerS)
	}
	if most <= 0 {
		return fmt.Errorf("there is nothing to draw into %s", file)
	}
	scale := (chartWidth - chartLabels - chartValues) / most
	var b bytes.Buffer
	height := chartTop + chartRow*len(r.Contenders) + 30
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="12" y="22" font-size="15">kapok bench %s: millions of %s a second, %d thread(s)</text>`+"\n", html.EscapeString(r.Bench), html.EscapeString(r.Unit), r.Threads)
	fmt.Fprintf(&b, `<text x="12" y="42" fill="#666">%s</text>`+"\n", html.EscapeString(r.Machine.String()))
	for i, c := range r.Contenders {
		y := chartTop + chartRow*i
		colour := "#2a7f62"
		if c.Kind == "baseline" {
			colour = "#9a9a9a"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", chartLabels-8, y+17, html.EscapeString(c.label()))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", chartLabels, y+4, scale*c.MedianPerS, chartRow-8, colour)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="black"/>`+"\n", chartLabels+scale*c.P10PerS, chartLabels+scale*c.P90PerS, y+chartRow/2, y+chartRow/2)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.2f</text>`+"\n", chartLabels+scale*max(c.MedianPerS, c.P90PerS)+6, y+17, c.MedianPerS/1e6)
	}
	fmt.Fprintf(&b, `<text x="12" y="%d" fill="#666" font-size="11">bars: medians; lines: p10 to p90; %s</text>`+"\n</svg>\n", height-10, html.EscapeString(r.Method.Clock))
	return os.WriteFile(file, b.Bytes(), 0o644)
}
