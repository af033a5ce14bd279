package chart

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Measures, in the pixels of the picture. A page scales it to the width that it has:
// 440 pixels with letters of 12 are read on a phone and fill half a screen.
const (
	Width    = 440
	fontSize = 12
	rowSize  = 14 // of a line of labels
	margin   = 8
)

// picture is an SVG that is being written.
type picture struct{ strings.Builder }

// begin writes the opening tag, with a title and a description for who does not see it.
func (p *picture) begin(id, title, desc string, width, height float64) {
	id = escape(id)
	fmt.Fprintf(p, `<svg class="chart" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		width, height, id, id, id, escape(title), id, escape(desc))
}

func (p *picture) end() string {
	p.WriteString("</svg>")
	return p.String()
}

func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(p, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (p *picture) rect(class string, x, y, width, height float64) {
	fmt.Fprintf(p, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, x, y, max(width, 0), max(height, 0))
}

// text writes text that begins, has its middle, or ends at x.
func (p *picture) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(p, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`, class, anchor, x, y, escape(text))
}

func (p *picture) path(class string, d string) {
	fmt.Fprintf(p, `<path class="%s" d="%s"/>`, class, d)
}

// escape is text that stands in SVG and HTML: nothing in it has a meaning, and nothing is
// there that XML has no place for.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// mark draws the sign of a series at a place: each has a shape of its own.
func (p *picture) mark(series int, x, y float64) {
	const r = 4.0
	class := fmt.Sprintf("mark f%d", colour(series))
	switch colour(series) {
	case 0:
		fmt.Fprintf(p, `<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f"/>`, class, x, y, r)
	case 1:
		p.path(class, fmt.Sprintf("M%.1f %.1fl%g %gl%g %gl%g %gz", x, y-r-1, r+1, r+1, -r-1, r+1, -r-1, -r-1))
	case 2:
		p.rect(class, x-r+0.5, y-r+0.5, 2*r-1, 2*r-1)
	default:
		p.path(class, fmt.Sprintf("M%.1f %.1fl%g %gh%gz", x, y-r-0.5, r+0.5, 2*r, -2*r-1))
	}
}

// colours is how many series can be told apart; further ones begin anew.
const colours = 6

func colour(series int) int { return ((series % colours) + colours) % colours }

// textWidth is about how wide a text is.
func textWidth(text string) float64 { return 0.56 * fontSize * float64(utf8.RuneCountInString(text)) }

// Cut shortens a text to so many letters.
func Cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(most-1, 0)]) + "…"
}

// key writes what the lines and marks mean, as a list beside the picture, where it has
// room to wrap.
func key(names []string, sample func(series int) string) string {
	var b strings.Builder
	for i, name := range names {
		if name != "" {
			fmt.Fprintf(&b, `<li><svg class="chart sample" viewBox="0 0 26 12" aria-hidden="true">%s</svg>%s</li>`, sample(i), escape(name))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return `<ul class="key">` + b.String() + "</ul>"
}
