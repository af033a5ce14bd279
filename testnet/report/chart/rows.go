package chart

import (
	"fmt"
	"math"
)

// Rows is a picture of a line of bars or marks for each of several things.
type Rows struct {
	ID          string
	Title, Desc string
	X           Axis
	Names       []string // of the series: what a part or a mark means
	Rows        []Row
}

// Row is one line of it.
type Row struct {
	Label string
	Skip  float64   // where the bars begin
	Parts []float64 // lengths of bars behind each other, by series
	Marks []Value   // by series
	Text  string    // at its end: the figure in words
}

// Value is a place with the ends of its interval, which may be no numbers.
type Value struct{ At, Low, High float64 }

// Most letters of a row's label and text.
const (
	mostLabel = 22
	mostText  = 30
)

// HTML is the picture, and below it what its colours mean.
func (r *Rows) HTML() string {
	const line = 20.0
	high, low := 0.0, math.Inf(1)
	left, right := 0.0, 0.0
	for _, row := range r.Rows {
		total := row.Skip
		for _, v := range row.Parts {
			if finite(v) {
				total += max(v, 0)
			}
		}
		high = max(high, total)
		for _, m := range row.Marks {
			for _, v := range []float64{m.At, m.Low, m.High} {
				if finite(v) {
					high = max(high, v)
					if v > 0 {
						low = min(low, v)
					}
				}
			}
		}
		left, right = max(left, textWidth(Cut(row.Label, mostLabel))), max(right, textWidth(Cut(row.Text, mostText)))
	}
	if low, high = low/1.5, high*1.5; !r.X.Log {
		low, high = 0, high/1.5*1.02
	}
	var pic picture
	bottom := margin/2 + line*float64(len(r.Rows))
	height := bottom + 2*rowSize + margin
	pic.begin(r.ID, r.Title, r.Desc, Width, height)
	x := newScale(r.X, low, high, margin+left+8, Width-margin-right-8)
	last := math.Inf(-1)
	for _, t := range x.ticks(max(2, int((x.to-x.from)/60))) {
		at, half := x.at(t.value), textWidth(t.label)/2
		pic.line("grid", at, margin/2, at, bottom)
		if at-half >= last && at+half < Width {
			pic.text("tick", "middle", at, bottom+rowSize, t.label)
			last = at + half + 4
		}
	}
	pic.text("label", "end", Width-margin, bottom+2*rowSize+2, r.X.Label)
	for i, row := range r.Rows {
		r.draw(&pic, row, x, margin/2+line*(float64(i)+0.5))
		pic.text("tick", "end", x.from-8, margin/2+line*(float64(i)+0.5)+4, Cut(row.Label, mostLabel))
		pic.text("value", "start", x.to+8, margin/2+line*(float64(i)+0.5)+4, Cut(row.Text, mostText))
	}
	pic.line("axis", x.from, margin/2, x.from, bottom)
	return pic.end() + key(r.Names, r.sample)
}

func (r *Rows) draw(pic *picture, row Row, x scale, y float64) {
	const half = 6.0
	from := x.min + row.Skip
	for i, v := range row.Parts {
		if !finite(v) || v <= 0 {
			continue
		}
		pic.rect(fmt.Sprintf("bar f%d", colour(i)), x.at(from), y-half, x.at(from+v)-x.at(from), 2*half)
		from += v
	}
	for i, m := range row.Marks {
		if finite(m.Low, m.High) {
			class := fmt.Sprintf("whisker s%d", colour(i))
			pic.line(class, x.at(m.Low), y, x.at(m.High), y)
			pic.line(class, x.at(m.Low), y-4, x.at(m.Low), y+4)
			pic.line(class, x.at(m.High), y-4, x.at(m.High), y+4)
		}
		if finite(m.At) {
			pic.mark(i, x.at(m.At), y)
		}
	}
}

func (r *Rows) sample(series int) string {
	var pic picture
	for _, row := range r.Rows {
		if len(row.Marks) > series {
			pic.mark(series, 13, 6)
			return pic.String()
		}
	}
	pic.rect(fmt.Sprintf("bar f%d", colour(series)), 1, 1, 24, 10)
	return pic.String()
}
