package protocol

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestDocumentedBytes holds the examples of docs/PROTOCOL.md to the vectors of
// the same name.
func TestDocumentedBytes(t *testing.T) {
	page, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	vectors := map[string][]byte{}
	for _, v := range allVectors(t) {
		vectors[v.Name] = v.frame
	}
	examples, inside := 0, false
	for i, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "```") {
			inside = line == "```vectors"
			continue
		}
		if !inside {
			continue
		}
		examples++
		name, digits, _ := strings.Cut(line, " ")
		frame, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Errorf("line %d: %v", i+1, err)
		}
		if want, ok := vectors[name]; !ok {
			t.Errorf("line %d: there is no vector %q", i+1, name)
		} else if string(frame) != string(want) {
			t.Errorf("line %d: %s is % X, the page says % X", i+1, name, want, frame)
		}
	}
	if examples == 0 {
		t.Error("the page has no examples")
	}
}

// TestDocumentedCodes looks for each code's row in the page's table.
func TestDocumentedCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Codes() {
		row := "| " + decimal(uint64(c)) + " | `" + c.String() + "` | " + c.Message() + " | "
		if !strings.Contains(string(page), row) {
			t.Errorf("the page has no row %q", row)
		}
	}
}
