package explorer

import (
	"fmt"
	"html/template"
	"strings"
)

// Size of the value flow, in SVG units.
const (
	flowWidth  = 720.0
	flowValue  = 120.0 // height of all value together
	flowGap    = 10.0
	flowLeast  = 2.0 // thickness of what is too small to see
	flowTrunk  = 40.0
	maxRibbons = 12 // ribbons per side; the rest is one ribbon
)

// ribbon is one input or output in the value flow.
type ribbon struct {
	Path  string
	Class string
	Label string
}

// flow is the picture of a transaction: the value that comes in on the left, runs
// together, and goes out on the right.
type flow struct {
	Width, Height float64
	Ribbons       []ribbon
}

// side is what enters or leaves, with how it is to be shown.
type side struct {
	value int64
	class string
	label string
}

// drawFlow is nil where there is no value to show.
func drawFlow(in, out []side) *flow {
	in, out = fold(in), fold(out)
	total := int64(0)
	for _, s := range in {
		total += s.value
	}
	if total <= 0 || len(out) == 0 {
		return nil
	}
	height := flowValue + flowGap*float64(max(len(in), len(out))+1) + flowLeast*float64(len(in)+len(out))
	f := &flow{Width: flowWidth, Height: height}
	f.stack(in, total, 0, (flowWidth-flowTrunk)/2)
	f.stack(out, total, flowWidth, (flowWidth+flowTrunk)/2)
	half := flowValue / 2
	f.Ribbons = append(f.Ribbons, ribbon{
		Path:  fmt.Sprintf("M%.1f %.1fH%.1fV%.1fH%.1fZ", (flowWidth-flowTrunk)/2, height/2-half, (flowWidth+flowTrunk)/2, height/2+half, (flowWidth-flowTrunk)/2),
		Class: "trunk",
	})
	return f
}

// fold joins what exceeds the bound.
func fold(list []side) []side {
	if len(list) <= maxRibbons {
		return list
	}
	rest := side{class: "rest", label: fmt.Sprintf("%d more", len(list)-maxRibbons+1)}
	for _, s := range list[maxRibbons-1:] {
		rest.value += s.value
	}
	return append(list[:maxRibbons-1:maxRibbons-1], rest)
}

// stack draws one side's ribbons from the edge to the trunk.
func (f *flow) stack(list []side, total int64, edge, trunk float64) {
	used := flowGap * float64(len(list)-1)
	for _, s := range list {
		used += thickness(s.value, total)
	}
	y, middle, bend := (f.Height-used)/2, (f.Height-flowValue)/2, (edge+trunk)/2
	for _, s := range list {
		t, inner := thickness(s.value, total), flowValue*float64(s.value)/float64(total)
		var p strings.Builder
		fmt.Fprintf(&p, "M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", edge, y, bend, y, bend, middle, trunk, middle)
		fmt.Fprintf(&p, "V%.1fC%.1f %.1f %.1f %.1f %.1f %.1fZ", middle+inner, bend, middle+inner, bend, y+t, edge, y+t)
		f.Ribbons = append(f.Ribbons, ribbon{p.String(), s.class, s.label})
		y, middle = y+t+flowGap, middle+inner
	}
}

func thickness(value, total int64) float64 {
	return max(flowLeast, flowValue*float64(value)/float64(total))
}

// ViewBox is the SVG attribute.
func (f *flow) ViewBox() template.HTMLAttr {
	return template.HTMLAttr(fmt.Sprintf(`viewBox="0 0 %.0f %.0f"`, f.Width, f.Height))
}
