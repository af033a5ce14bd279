package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Number(0), "0"}, {Number(1234567), "1,234,567"}, {Number(9999.6), "10,000"}, {Number(1234), "1234"}, {Number(12.34), "12.3"},
		{Number(12), "12"}, {Number(0.01234), "0.0123"}, {Number(-0.5), "−0.5"}, {Number(1.5e-7), "1.5e−7"}, {Number(2e20), "2e20"},
		{Number(math.NaN()), "–"}, {Number(math.Inf(-1)), "–"},
		{Decimal(1e6, 0), "1,000,000"}, {Decimal(-12345.678, 2), "−12,345.68"}, {Decimal(-0.001, 1), "0.0"},
		{Quantity(1.23e-5, "J"), "12.3\u00a0µJ"}, {Quantity(999.9, "B"), "1\u00a0kB"}, {Quantity(2.5e6, "H/s"), "2.5\u00a0MH/s"}, {Quantity(0, "J"), "0\u00a0J"}, {Quantity(3e-20, "J"), "3e−8\u00a0pJ"},
		{Cut("a long name", 6), "a lon…"}, {Cut("short", 6), "short"}, {Cut("äöüß", 3), "äö…"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for s, want := range map[float64]string{0.2: "0.001 ms", 1: "1 s", 300: "1 s", 301: "60 min", 4 * 3600: "3600 h", 4 * 86400: "86400 days"} {
		if seconds, unit := TimeUnit(s); fmt.Sprint(seconds, " ", unit) != want {
			t.Errorf("%g s in %v %s, want %s", s, seconds, unit, want)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis      Axis
		low, high float64
		n         int
		want      string
	}{
		{Axis{}, 0, 12.3, 6, "0 2 4 6 8 10 12"},
		{Axis{}, 0, 1, 5, "0 0.2 0.4 0.6 0.8 1.0"},
		{Axis{Whole: true}, 0, 2.1, 5, "0 1 2"},
		{Axis{}, -3, 3, 6, "−3 −2 −1 0 1 2 3"},
		{Axis{Max: 100}, 7, 8, 5, "0 20 40 60 80 100"},
		{Axis{}, 5, 5, 5, "5.0 5.2 5.4 5.6 5.8 6.0"},
		{Axis{}, 0, 25000, 5, "0 5000 10,000 15,000 20,000 25,000"},
		{Axis{Log: true}, 0.003, 30, 6, "0.01 0.1 1 10"},
		{Axis{Log: true}, 2, 60, 6, "2 5 10 20 50"},
		{Axis{Log: true}, 0, 1, 6, "0.001 0.01 0.1 1"},
		{Axis{Log: true}, 1e-9, 1e9, 6, "0.01 1 100 10,000 1e6 1e8"},
	} {
		var labels []string
		for _, tick := range newScale(c.axis, c.low, c.high, 0, 100).ticks(c.n) {
			labels = append(labels, tick.label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%+v from %g to %g: %s, want %s", c.axis, c.low, c.high, got, c.want)
		}
	}
}

func TestScale(t *testing.T) {
	lin, log := newScale(Axis{}, 0, 10, 0, 100), newScale(Axis{Log: true}, 1, 100, 0, 100)
	for _, c := range []struct{ got, want float64 }{{lin.at(5), 50}, {lin.at(-1), 0}, {lin.at(11), 100}, {log.at(10), 50}, {log.at(0), 0}, {log.at(1e6), 100}} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("at %g, want %g", c.got, c.want)
		}
	}
}

// drawn is a picture as its reader has it.
type drawn struct {
	width, height float64
	texts         []string
	outside       []string // what reaches beyond the picture
	titles        int
}

// read parses what HTML returned: well-formed, without what is no number, and with
// everything within the picture.
func read(t interface{ Fatalf(string, ...any) }, text string) (d drawn) {
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Fatalf("what is no number is drawn: %s", text)
	}
	dec := xml.NewDecoder(strings.NewReader("<div>" + text + "</div>"))
	var in []xml.StartElement
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return d
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		switch e := token.(type) {
		case xml.StartElement:
			in = append(in, e.Copy())
			attr := attributes(e)
			if e.Name.Local == "svg" && d.width == 0 {
				if n, err := fmt.Sscanf(attr["viewBox"], "0 0 %f %f", &d.width, &d.height); n != 2 {
					t.Fatalf("viewBox %q: %v", attr["viewBox"], err)
				}
			}
			for name, most := range map[string]float64{"x": d.width, "x1": d.width, "x2": d.width, "cx": d.width, "y": d.height, "y1": d.height, "y2": d.height, "cy": d.height} {
				if v, ok := attr[name]; ok {
					if at, err := strconv.ParseFloat(v, 64); err != nil || at < 0 || at > most {
						d.outside = append(d.outside, fmt.Sprintf("%s %s=%s", e.Name.Local, name, v))
					}
				}
			}
		case xml.EndElement:
			in = in[:len(in)-1]
		case xml.CharData:
			switch e := in[len(in)-1]; e.Name.Local {
			case "title":
				d.titles++
			case "text":
				d.texts = append(d.texts, string(token.(xml.CharData)))
				attr := attributes(e)
				at, _ := strconv.ParseFloat(attr["x"], 64)
				width := textWidth(string(token.(xml.CharData)))
				from, to := at, at+width
				switch attr["text-anchor"] {
				case "middle":
					from, to = at-width/2, at+width/2
				case "end":
					from, to = at-width, at
				}
				if from < -1 || to > d.width+1 {
					d.outside = append(d.outside, fmt.Sprintf("text %q from %.0f to %.0f", token, from, to))
				}
			}
		}
	}
}

func attributes(e xml.StartElement) map[string]string {
	attr := make(map[string]string)
	for _, a := range e.Attr {
		attr[a.Name.Local] = a.Value
	}
	return attr
}

var anyFloat = rapid.OneOf(rapid.Float64(), rapid.Float64Range(-10, 10), rapid.Float64Range(0, 1e-3), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), 1e-300, 1e300, -1e300}))

// TestAnyPlot draws whatever it is given: the picture is well-formed, and all is inside.
func TestAnyPlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		axis := rapid.Custom(func(t *rapid.T) Axis { return Axis{Label: "x, s", Log: rapid.Bool().Draw(t, "log")} })
		p := Plot{ID: "p", Title: rapid.String().Draw(t, "title"), Desc: "<&>", X: axis.Draw(t, "x"), Y: axis.Draw(t, "y"), Lines: rapid.SliceOfN(anyFloat, 0, 3).Draw(t, "lines")}
		for range rapid.IntRange(0, 4).Draw(t, "series") {
			s := Series{Name: rapid.String().Draw(t, "name"), X: rapid.SliceOfN(anyFloat, 0, 6).Draw(t, "xs"), Y: rapid.SliceOfN(anyFloat, 0, 6).Draw(t, "ys"),
				Steps: rapid.Bool().Draw(t, "steps"), Points: rapid.Bool().Draw(t, "points"), Colour: rapid.IntRange(-9, 9).Draw(t, "colour")}
			if rapid.Bool().Draw(t, "area") {
				s.Low = s.X
			}
			p.Series = append(p.Series, s)
		}
		for range rapid.IntRange(0, 5).Draw(t, "bands") {
			p.Bands = append(p.Bands, Band{anyFloat.Draw(t, "from"), anyFloat.Draw(t, "to"), rapid.SampledFrom([]string{"", "partition", "node 3 down", "<b>"}).Draw(t, "label"), rapid.Bool().Draw(t, "faint")})
		}
		checkDrawn(t, p.HTML())
	})
}

// TestLongNumbers draws an axis whose first number is so long that it would begin left of
// the picture.
func TestLongNumbers(t *testing.T) {
	p := Plot{ID: "p", Title: "long", Series: []Series{{X: []float64{-8.149072527885437e-09, 3.725290298461914e-09}, Y: []float64{1, 1}}}}
	if d := read(t, p.HTML()); len(d.outside) > 0 {
		t.Error(d.outside)
	}
}

// TestAnyRows is the same for rows.
func TestAnyRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rows{ID: "r", Title: "<", Desc: "&", X: Axis{Label: "s", Log: rapid.Bool().Draw(t, "log")}, Names: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "names")}
		for range rapid.IntRange(0, 6).Draw(t, "rows") {
			row := Row{Label: rapid.StringN(0, 40, -1).Draw(t, "label"), Text: rapid.StringN(0, 40, -1).Draw(t, "text"), Skip: rapid.Float64Range(0, 10).Draw(t, "skip"), Parts: rapid.SliceOfN(anyFloat, 0, 3).Draw(t, "parts")}
			for range rapid.IntRange(0, 3).Draw(t, "marks") {
				row.Marks = append(row.Marks, Value{anyFloat.Draw(t, "at"), anyFloat.Draw(t, "low"), anyFloat.Draw(t, "high")})
			}
			r.Rows = append(r.Rows, row)
		}
		checkDrawn(t, r.HTML())
	})
}

func checkDrawn(t *rapid.T, text string) {
	d := read(t, text)
	if d.width != Width || d.height <= 0 || len(d.outside) > 0 || d.titles == 0 && !strings.Contains(text, "></title>") {
		t.Fatalf("%v by %v, outside: %q, %d titles\n%s", d.width, d.height, d.outside, d.titles, text)
	}
}

func TestPlotSays(t *testing.T) {
	p := Plot{ID: "p1", Title: "Delay <b>", Desc: "How long & why.", X: Axis{Label: "time, s"}, Y: Axis{Label: "share, %", Max: 100},
		Series: []Series{{Name: "one & two", X: []float64{0, 1, 2}, Y: []float64{0, 50, 100}}, {Name: "three", X: []float64{0, 2}, Y: []float64{0, math.NaN()}, Colour: 1}},
		Bands:  []Band{{From: 0.5, To: 1, Label: "partition"}, {From: 0.6, To: 0.6, Label: "kill"}, {From: 0.7, To: 1.2}, {From: 1.5, To: 1.6}, {From: 5, To: 6, Label: "beyond"}}}
	text := p.HTML()
	for _, want := range []string{`role="img" aria-labelledby="p1-t p1-d"`, `<title id="p1-t">Delay &lt;b&gt;</title>`, `<desc id="p1-d">How long &amp; why.</desc>`,
		">time, s<", ">share, %<", ">partition<", ">kill<", `</svg>one &amp; two</li>`, `class="line s0"`, `class="line s1"`, `class="band"`, ">0.5<", ">100<"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if n := strings.Count(text, `class="band"`); n != 2 {
		t.Errorf("%d shades, want 2: what overlaps is one", n)
	}
	if strings.Contains(text, "beyond") {
		t.Error("what is beyond the axis is named")
	}
}

// TestLabelsDoNotOverlap puts moments close together: their names stand in lines of their
// own, as far as there are.
func TestLabelsDoNotOverlap(t *testing.T) {
	p := Plot{ID: "p", X: Axis{Max: 100}, Y: Axis{Max: 1}}
	for i := range 6 {
		p.Bands = append(p.Bands, Band{From: float64(50 + i), To: float64(50 + i), Label: fmt.Sprint("node ", i, " down")})
	}
	text := p.HTML()
	named := 0
	places := map[string]bool{}
	for i := range 6 {
		if k := strings.Index(text, fmt.Sprint(">node ", i, " down<")); k >= 0 {
			named++
			from := strings.LastIndex(text[:k], ` y="`)
			places[text[from:k]] = true
		}
	}
	if named != labelRows || len(places) != named || strings.Count(text, `class="event"`) != 6 {
		t.Errorf("%d named in %d lines, want %d; %d drawn, want 6", named, len(places), labelRows, strings.Count(text, `class="event"`))
	}
}

// TestIntervalsOfPoints looks that a point's interval is drawn, that the axis has room for
// it, and that a point without one is only a mark.
func TestIntervalsOfPoints(t *testing.T) {
	p := Plot{ID: "p", Series: []Series{{Points: true, Colour: 1, X: []float64{1, 2, 3}, Y: []float64{5, 5, 5},
		Low: []float64{4, math.NaN(), 1}, High: []float64{9, 8}}}}
	text := p.HTML()
	if n := strings.Count(text, `class="whisker s1"`); n != 3 {
		t.Errorf("one interval is drawn by %d lines, want 3: one, and its two ends", n)
	}
	if n := strings.Count(text, `class="mark f1"`); n != 3 {
		t.Errorf("%d marks, want 3", n)
	}
	if _, y := p.scales(260); y.max < 9 {
		t.Errorf("the axis ends at %g, below the interval's 9", y.max)
	}
}
