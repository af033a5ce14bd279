package rpc

import (
	"encoding/json"
	"testing"
)

// encode writes what encoding/json does.
func TestEncode(t *testing.T) {
	for _, r := range []reply{
		{Result: null, ID: null},
		{Version: "2.0", Result: json.RawMessage(`{"a":[1,"x"]}`), ID: json.RawMessage(`"<i&d>\u2028"`)},
		{Version: "2.0", Result: null, Error: &Error{-5, "no \"such\" <block>"}, ID: json.RawMessage("-1.5e3")},
	} {
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(r); string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
