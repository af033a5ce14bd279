package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTry(t *testing.T) {
	for _, run := range []any{bigRun(t), fastRun(t, 1), smallRun(t)} {
		_ = run
	}
	s := Summarize(bigRun(t), rand.New(rand.NewPCG(1, 1)))
	b, _ := json.MarshalIndent(s, "", " ")
	fmt.Println(string(b))
	for seed := range uint64(6) {
		s = Summarize(fastRun(t, seed), rand.New(rand.NewPCG(1, 1)))
		fmt.Printf("%+v\n%+v\n%+v\n", s.StaleRate, s.Spacing, s.Nonces)
	}
	s = Summarize(smallRun(t), rand.New(rand.NewPCG(1, 1)))
	b, _ = json.MarshalIndent(s, "", " ")
	fmt.Println(string(b))
}
