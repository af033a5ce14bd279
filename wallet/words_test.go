package wallet

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestCheckWords(t *testing.T) {
	for _, tc := range []struct{ name, words, says string }{
		{"not in the list", strings.Replace(testWords, "about", "xyzzy", 1), `word 12, "xyzzy", is not in the word list: check its spelling`},
		{"one letter", strings.Replace(testWords, "abandon", "abandom", 1), `word 1, "abandom", is not in the word list: did you mean "abandon"?`},
		{"early letter", strings.Replace(testWords, "about", "baout", 1), `did you mean "about"?`},
		{"dropped letter", strings.Replace(testWords, "about", "bout", 1), `did you mean "about"?`},
		{"added letter", strings.Replace(testWords, "about", "abbout", 1), `did you mean "about"?`},
		{"order", "about " + strings.TrimSuffix(testWords, " about"), "checksum is wrong"},
		{"another word", strings.Replace(testWords, "about", "abandon", 1), "checksum is wrong"},
		{"eleven", strings.TrimSuffix(testWords, " about"), "there are 11 words"},
		{"thirteen", testWords + " about", "there are 13 words"},
		{"none", "", "there are 0 words"},
		{"a book", strings.Repeat("about ", 400), "too long"},
	} {
		_, err := CheckWords(tc.words)
		if !errors.Is(err, ErrWords) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.says)
		}
	}
}

func TestNewWords(t *testing.T) {
	for _, count := range []int{12, 24} {
		words, err := NewWords(fakeRandom(1), count)
		if err != nil || len(strings.Fields(words)) != count {
			t.Fatalf("%q, %v", words, err)
		}
		if got, err := CheckWords(words); err != nil || got != words {
			t.Errorf("%q: %v", words, err)
		}
	}
	if _, err := NewWords(fakeRandom(1), 13); !errors.Is(err, ErrWords) {
		t.Errorf("13 words: %v", err)
	}
	if _, err := NewWords(bytes.NewReader(make([]byte, 15)), 12); err == nil {
		t.Error("words of too little randomness")
	}
}

func TestDevWords(t *testing.T) {
	for _, words := range DevWords() {
		for _, name := range []string{"local", "dev", "regtest"} {
			mustNew(t, testParams(name), words)
		}
		for _, spelling := range []string{words, "  " + strings.ToUpper(words)} {
			if _, err := New(testParams("main"), spelling); !errors.Is(err, ErrDevWords) {
				t.Errorf("on main: %v", err)
			}
		}
	}
	if DevWordsA == DevWordsB || IsDevWords(testWords) {
		t.Error("the development wallets are not two of their own")
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": coin, "1.5": 150_000_000, "1.5 KPK": 150_000_000, " 1.50kpk ": 150_000_000, "0.00000001": 1,
		"21000000": 21_000_000 * coin, "007": 7 * coin, "0.10000000": 10_000_000,
	} {
		if got, err := ParseAmount(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KPK", ".", ".5", "1.", "-1", "+1", "1e3", "1,5", "1 000", "0x10", "1.000000001", "1.5 BTC",
		"21000000.00000001", "99999999999999999999", "184467440737.09551616", "1.5.0", "NaN", "Inf", "١", strings.Repeat("0", 100)} {
		if got, err := ParseAmount(text); !errors.Is(err, ErrAmount) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for units, want := range map[int64]string{
		0: "0 KPK", 1: "0.00000001 KPK", -1: "-0.00000001 KPK", 150_000_000: "1.5 KPK", 100 * coin: "100 KPK",
		-1 << 63: "-92233720368.54775808 KPK", 1<<63 - 1: "92233720368.54775807 KPK",
	} {
		if got := FormatAmount(units); got != want {
			t.Errorf("%d: %q, want %q", units, got, want)
		}
	}
	if r, err := ParseFeeRate("2.5"); err != nil || r != 2500 || r.String() != "2.5 units/vB" || r.Fee(111) != 278 || PerVB(3) != 3000 {
		t.Errorf("fee rate %v, %v", r, err)
	}
	for _, text := range []string{"", "x", "0.5", "10000.001", "2.5555"} {
		if _, err := ParseFeeRate(text); !errors.Is(err, ErrFeeRate) {
			t.Errorf("fee rate %q: %v", text, err)
		}
	}
}

func FuzzParseAmount(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		units, err := ParseAmount(s)
		if err != nil {
			return
		}
		if again, err := ParseAmount(FormatAmount(units)); err != nil || again != units {
			t.Fatalf("%q is %d, and %q is %d: %v", s, units, FormatAmount(units), again, err)
		}
	})
}
