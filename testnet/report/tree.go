package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"

	"github.com/kapok-chain/kapok/testnet/record"
)

// What is drawn of forks at most, so that a page of thousands stays one to look at.
const (
	mostForks   = 12 // the longest
	mostHeights = 12 // of a fork; the middle of a longer one is left out
	mostLanes   = 6  // branches of a fork
)

// Measures of a block in the picture, in pixels.
const (
	boxWidth, boxHeight = 72.0, 46.0
	boxGapX, boxGapY    = 22.0, 14.0
)

// forks draws the best chain around its forks.
func (v *view) forks() (picture template.HTML, caption string) {
	all := forks(v.run)
	if len(all) == 0 {
		return "", ""
	}
	shown := slices.Clone(all)
	slices.SortStableFunc(shown, func(a, b forked) int {
		return cmp.Or(cmp.Compare(b.top-b.root, a.top-a.root), cmp.Compare(len(b.blocks), len(a.blocks)))
	})
	shown = shown[:min(len(shown), mostForks)]
	slices.SortStableFunc(shown, func(a, b forked) int { return cmp.Compare(a.root, b.root) })
	active := make(map[int64]*record.Block)
	for i := range v.run.Blocks {
		if b := &v.run.Blocks[i]; b.Status == record.Active {
			active[int64(b.Height)] = b
		}
	}
	var out strings.Builder
	out.WriteString(`<div class="trees">`)
	for i, f := range shown {
		t := tree{active: active, fork: f}
		out.WriteString(`<div class="tree" tabindex="0" role="region" aria-label="` + html.EscapeString(fmt.Sprintf("Fork after block %d", f.root)) + `">` + t.draw(fmt.Sprintf("fork-%d", i+1)) + "</div>")
	}
	out.WriteString("</div>")
	caption = "Each block with its height, its miner, and when it was found, in seconds since the start. The best chain is above, with solid outlines."
	if len(all) > len(shown) {
		caption += fmt.Sprintf(" The %d longest of %d forks.", len(shown), len(all))
	}
	return template.HTML(out.String()), caption
}

// tree is one fork while it is drawn.
type tree struct {
	active map[int64]*record.Block
	fork   forked

	columns map[int64]int  // by height
	gap     int            // the column in which heights are left out; -1: none
	lanes   map[string]int // of blocks beside the best chain
	used    int            // lanes
	hidden  int            // blocks in lanes that have no room
}

func (t *tree) draw(id string) string {
	t.layOut()
	columns := len(t.columns)
	if t.gap >= 0 {
		columns++
	}
	width := float64(columns)*(boxWidth+boxGapX) + 8
	height := float64(t.used+1)*(boxHeight+boxGapY) + 4
	if t.hidden > 0 {
		height += 16
	}
	var b strings.Builder
	title := fmt.Sprintf("Fork after block %d", t.fork.root)
	desc := t.words()
	fmt.Fprintf(&b, `<svg class="chart forks" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" style="width:%.0fpx" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		width, height, width, height, width, id, id, id, html.EscapeString(title), id, html.EscapeString(desc))
	// Lines that cross have a gap around the upper one; the best chain's have none.
	for _, part := range []edgePart{level, halo, fall} {
		for _, block := range t.fork.blocks {
			if lane, seen := t.lanes[block.Hash]; seen { // a parent without a lane is of the best chain
				t.edge(&b, part, int64(block.Height), t.lanes[block.Parent], lane)
			}
		}
	}
	for h := t.fork.root; h <= t.fork.top+1; h++ {
		if block := t.active[h]; block != nil {
			t.edge(&b, level, h, 0, 0)
			t.box(&b, block, 0)
		}
	}
	for _, block := range t.fork.blocks {
		if lane, seen := t.lanes[block.Hash]; seen {
			t.box(&b, block, lane)
		}
	}
	if t.gap >= 0 {
		fmt.Fprintf(&b, `<text class="small" text-anchor="middle" x="%.1f" y="%.1f">… %d more …</text>`, t.x(t.gap)+boxWidth/2, boxHeight/2+6, t.left())
	}
	if t.hidden > 0 {
		fmt.Fprintf(&b, `<text class="small" x="4" y="%.1f">and %s on further branches</text>`, height-5, count(t.hidden, "block"))
	}
	b.WriteString("</svg>")
	return b.String()
}

// layOut gives each height a column and each branch a lane.
func (t *tree) layOut() {
	t.columns, t.lanes, t.gap = make(map[int64]int), make(map[string]int), -1
	first, last := t.fork.root, t.fork.top+1
	heights := int(last-first) + 1
	if heights > mostHeights {
		t.gap = mostHeights / 2
	}
	for h := first; h <= last; h++ {
		column := int(h - first)
		if t.gap >= 0 && column >= t.gap {
			if fromEnd := int(last - h); fromEnd >= mostHeights/2 {
				continue
			} else {
				column = mostHeights - fromEnd
			}
		}
		t.columns[h] = column
	}
	taken := make(map[string]bool) // lanes go on with a parent's first child
	for _, b := range t.fork.blocks {
		lane, on := t.lanes[b.Parent]
		if !on || taken[b.Parent] {
			if t.used == mostLanes {
				t.hidden++
				continue
			}
			t.used++
			lane = t.used
		}
		taken[b.Parent] = true
		t.lanes[b.Hash] = lane
	}
}

// left is how many heights the gap stands for.
func (t *tree) left() int { return int(t.fork.top+1-t.fork.root) + 1 - len(t.columns) }

func (t *tree) x(column int) float64 { return 4 + float64(column)*(boxWidth+boxGapX) }
func laneY(lane int) float64         { return 2 + float64(lane)*(boxHeight+boxGapY) }

// edgePart is a part of the lines between blocks.
type edgePart int

const (
	level edgePart = iota // within a lane
	halo                  // what keeps a fall apart from the lines that it crosses
	fall                  // from one lane to another
)

// edge draws a part of the line to a block from its parent.
func (t *tree) edge(b *strings.Builder, part edgePart, height int64, from, to int) {
	column, shown := t.columns[height]
	before, known := t.columns[height-1]
	if !shown || !known || height == t.fork.root {
		return
	}
	x1, x2, y1, y2 := t.x(before)+boxWidth, t.x(column), laneY(from)+boxHeight/2, laneY(to)+boxHeight/2
	switch {
	case part == level && from == to:
		fmt.Fprintf(b, `<path class="edge" d="M%.1f %.1fH%.1f"/>`, x1, y1, x2)
	case part == halo && from != to:
		fmt.Fprintf(b, `<path class="halo" d="M%.1f %.1fV%.1f"/>`, x1+boxGapX/2, y1+4, y2-4)
	case part == fall && from != to:
		fmt.Fprintf(b, `<path class="edge" d="M%.1f %.1fh%.1fV%.1fH%.1f"/>`, x1, y1, boxGapX/2, y2, x2)
	}
}

func (t *tree) box(b *strings.Builder, block *record.Block, lane int) {
	column, shown := t.columns[int64(block.Height)]
	if !shown {
		return
	}
	x, y := t.x(column), laneY(lane)
	class, status := "block", ""
	switch block.Status {
	case record.Stale:
		class, status = "block stale", " stale"
	case record.Withheld:
		class, status = "block withheld", " held"
	}
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.0f" height="%.0f" rx="4"/>`, class, x, y, boxWidth, boxHeight)
	miner := "unknown"
	if block.Miner > 0 {
		miner = fmt.Sprintf("node %d", block.Miner)
	}
	for i, line := range []string{fmt.Sprint(block.Height, status), miner, foundAt(block.FoundS)} {
		class := "tick"
		if i == 2 {
			class = "small"
		}
		fmt.Fprintf(b, `<text class="%s" text-anchor="middle" x="%.1f" y="%.1f">%s</text>`, class, x+boxWidth/2, y+14+float64(i)*13.5, html.EscapeString(line))
	}
}

func foundAt(s float64) string {
	if s >= 0 {
		return fmt.Sprintf("%.1f s", s)
	}
	return "?"
}

// words tell of the fork to who does not see it.
func (t *tree) words() string {
	var parts []string
	for _, b := range t.fork.blocks {
		if len(parts) == mostHeights {
			parts = append(parts, "and more")
			break
		}
		parts = append(parts, fmt.Sprintf("%s block %d of node %d", b.Status, b.Height, b.Miner))
	}
	return "Beside the best chain: " + strings.Join(parts, ", ") + "."
}
