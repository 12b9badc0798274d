package config

import "strings"

// Table returns the variables as a Markdown table, in the given order.
func Table(vars []Var) string {
	var b strings.Builder
	b.WriteString("| variable | type | default | meaning |\n|---|---|---|---|\n")
	for _, v := range vars {
		def := ""
		if v.Default != "" {
			def = "`" + cell(v.Default) + "`"
		}
		b.WriteString("| `" + v.Name + "` | " + cell(v.Type) + " | " + def + " | " + cell(v.Help) + " |\n")
	}
	return b.String()
}

// cell keeps a text from ending its cell or its row.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
