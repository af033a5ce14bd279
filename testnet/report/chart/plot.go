package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Plot is a picture of values over values.
type Plot struct {
	ID          string // of its own in the page
	Title, Desc string // for who does not see it
	X, Y        Axis
	Series      []Series
	Bands       []Band
	Lines       []float64 // values of Y that a thin line goes through
	Height      float64   // pixels, 0: 260
}

// Series is a line of a plot.
type Series struct {
	Name   string
	X, Y   []float64
	Low    []float64 // where it is not empty: the area from Low to Y, instead of a line
	High   []float64 // of Points: a line from Low to High through each that has both
	Steps  bool      // a value holds until the next one
	Points bool      // marks, and no line
	Colour int       // counted from 0; the dashes go with it
}

// Band is a stretch of the X axis in which something was so, or where From and To are
// the same, a moment.
type Band struct {
	From, To float64
	Label    string
	Faint    bool // outside of what matters
}

// labelRows is how many lines of labels of bands there may be above each other.
const labelRows = 3

// HTML is the picture, and below it what its lines mean.
func (p *Plot) HTML() string {
	var pic picture
	height := p.Height
	if height == 0 {
		height = 260
	}
	pic.begin(p.ID, p.Title, p.Desc, Width, height)
	x, y := p.scales(height)
	p.bands(&pic, &x, &y)
	p.axes(&pic, x, y)
	for i := range p.Series {
		p.Series[i].draw(&pic, x, y)
	}
	names, byName := make([]string, len(p.Series)), p.Series
	for i, s := range p.Series {
		names[i] = s.Name
	}
	if len(p.Series) < 2 {
		names = nil // the axis says what it is
	}
	return pic.end() + key(names, func(i int) string { return byName[i].sample() })
}

// scales lays the axes out: the Y axis leaves room for its numbers.
func (p *Plot) scales(height float64) (x, y scale) {
	lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, s := range p.Series {
		for i := range min(len(s.X), len(s.Y)) {
			if !finite(s.X[i], s.Y[i]) {
				continue
			}
			if !p.X.Log || s.X[i] > 0 {
				lowX, highX = min(lowX, s.X[i]), max(highX, s.X[i])
			}
			for _, v := range append(s.ends(i), s.Y[i]) {
				if !p.Y.Log || v > 0 {
					lowY, highY = min(lowY, v), max(highY, v)
				}
			}
		}
	}
	if lowX > highX {
		lowX, highX = 0, 1
	}
	if lowY > highY {
		lowY, highY = 0, 1
	}
	if !p.Y.Log {
		lowY, highY = min(lowY, 0), highY+0.05*(highY-min(lowY, 0))
	}
	y = newScale(p.Y, lowY, highY, height-2*rowSize-margin, margin+rowSize)
	left := 0.0
	for _, t := range y.ticks(5) {
		left = max(left, textWidth(t.label))
	}
	x = newScale(p.X, lowX, highX, margin+left+6, Width-margin-6)
	return x, y
}

// bands draws the stretches and their labels, which take room from the top of the plot
// in as many lines as they need.
func (p *Plot) bands(pic *picture, x, y *scale) {
	top := y.to
	type placed struct {
		at, row float64
		text    string
	}
	var labels []placed
	var ends []float64 // by row: where its last label ends
	for _, b := range p.Bands {
		if b.Label == "" || !finite(b.From, b.To) || b.To < x.min || b.From > x.max {
			continue
		}
		width := textWidth(b.Label) * 0.85
		at := min(x.at(b.From)+2, x.to-width)
		row := 0
		for row < len(ends) && ends[row] > at {
			row++
		}
		if row >= labelRows {
			continue // its stretch is drawn, and the page lists all of them
		}
		if row == len(ends) {
			ends = append(ends, 0)
		}
		ends[row] = at + width + 4
		labels = append(labels, placed{at, float64(row), b.Label})
	}
	y.to += float64(len(ends)) * (rowSize - 2)
	for _, faint := range []bool{true, false} {
		class := "band"
		if faint {
			class = "band faint"
		}
		for _, u := range p.union(x, faint) {
			pic.rect(class, u[0], y.to, u[1]-u[0], y.from-y.to)
		}
	}
	for _, b := range p.Bands {
		if !b.Faint && finite(b.From, b.To) && b.To >= x.min && b.From <= x.max {
			pic.line("event", x.at(b.From), y.to-4, x.at(b.From), y.from)
		}
	}
	for _, l := range labels {
		pic.text("small", "start", l.at, top+rowSize-5+l.row*(rowSize-2), l.text)
	}
}

// union is the pixels that bands cover, from and to: shades that overlap are one.
func (p *Plot) union(x *scale, faint bool) (list [][2]float64) {
	for _, b := range p.Bands {
		if b.Faint == faint && finite(b.From, b.To) && b.To > b.From && b.To >= x.min && b.From <= x.max {
			list = append(list, [2]float64{x.at(b.From), x.at(b.To)})
		}
	}
	slices.SortFunc(list, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
	merged := list[:0]
	for _, u := range list {
		if last := len(merged) - 1; last >= 0 && u[0] <= merged[last][1] {
			merged[last][1] = max(merged[last][1], u[1])
		} else {
			merged = append(merged, u)
		}
	}
	return merged
}

// axes draws grid, numbers and labels.
func (p *Plot) axes(pic *picture, x, y scale) {
	for _, t := range y.ticks(5) {
		at := y.at(t.value)
		pic.line("grid", x.from, at, x.to, at)
		pic.text("tick", "end", x.from-5, at+4, t.label)
	}
	last := math.Inf(-1)
	for _, t := range x.ticks(6) {
		at, half := x.at(t.value), textWidth(t.label)/2
		pic.line("axis", at, y.from, at, y.from+4)
		middle := min(max(at, half+1), Width-half-1)
		if middle-half < last {
			continue // numbers of a log axis may have no room
		}
		last = middle + half + 4
		pic.text("tick", "middle", middle, y.from+rowSize+2, t.label)
	}
	pic.line("axis", x.from, y.from, x.to, y.from)
	for _, v := range p.Lines {
		if finite(v) {
			pic.line("rule", x.from, y.at(v), x.to, y.at(v))
		}
	}
	pic.text("label", "start", margin, rowSize-1, p.Y.Label)
	pic.text("label", "end", x.to+6, y.from+2*rowSize+2, p.X.Label)
}

func (s *Series) draw(pic *picture, x, y scale) {
	n := min(len(s.X), len(s.Y))
	switch {
	case s.Points:
		for i := range n {
			s.whisker(pic, x, y, i)
			if finite(s.X[i], s.Y[i]) {
				pic.mark(s.Colour, x.at(s.X[i]), y.at(s.Y[i]))
			}
		}
	case len(s.Low) > 0:
		if d := s.area(x, y); d != "" {
			pic.path(fmt.Sprintf("area f%d", colour(s.Colour)), d)
		}
	default:
		var d strings.Builder
		open := false
		for i := range n {
			if !finite(s.X[i], s.Y[i]) {
				open = false // a gap
				continue
			}
			px, py := x.at(s.X[i]), y.at(s.Y[i])
			switch {
			case !open:
				fmt.Fprintf(&d, "M%.1f %.1f", px, py)
			case s.Steps:
				fmt.Fprintf(&d, "H%.1fV%.1f", px, py)
			default:
				fmt.Fprintf(&d, "L%.1f %.1f", px, py)
			}
			open = true
		}
		if d.Len() > 0 {
			pic.path(fmt.Sprintf("line s%d", colour(s.Colour)), d.String())
		}
	}
}

// ends are the ends of a point's interval, if it has one.
func (s *Series) ends(i int) []float64 {
	if !s.Points || i >= len(s.Low) || i >= len(s.High) || !finite(s.Low[i], s.High[i]) {
		return nil
	}
	return []float64{s.Low[i], s.High[i]}
}

// whisker draws a point's interval.
func (s *Series) whisker(pic *picture, x, y scale, i int) {
	ends := s.ends(i)
	if ends == nil || !finite(s.X[i]) {
		return
	}
	const half = 4
	class, at := fmt.Sprintf("whisker s%d", colour(s.Colour)), x.at(s.X[i])
	pic.line(class, at, y.at(ends[0]), at, y.at(ends[1]))
	for _, end := range ends {
		pic.line(class, at-half, y.at(end), at+half, y.at(end))
	}
}

// area is the outline from the upper values forth to the lower ones back.
func (s *Series) area(x, y scale) string {
	var forth []string
	var back []string
	for i := range min(len(s.X), len(s.Y), len(s.Low)) {
		if !finite(s.X[i], s.Y[i], s.Low[i]) {
			continue
		}
		forth = append(forth, fmt.Sprintf("%.1f %.1f", x.at(s.X[i]), y.at(s.Y[i])))
		back = append(back, fmt.Sprintf("%.1f %.1f", x.at(s.X[i]), y.at(s.Low[i])))
	}
	if len(forth) == 0 {
		return ""
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return "M" + strings.Join(append(forth, back...), "L") + "z"
}

// sample is the series' line in the key.
func (s *Series) sample() string {
	var pic picture
	switch {
	case s.Points:
		pic.mark(s.Colour, 13, 6)
	case len(s.Low) > 0:
		pic.rect(fmt.Sprintf("area f%d", colour(s.Colour)), 1, 1, 24, 10)
	default:
		pic.line(fmt.Sprintf("line s%d", colour(s.Colour)), 1, 6, 25, 6)
	}
	return pic.String()
}

// finite reports whether values can be drawn: differences of them must be numbers, too.
func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.Abs(v) > 1e150 {
			return false
		}
	}
	return true
}
