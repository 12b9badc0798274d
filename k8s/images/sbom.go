package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// billOfMaterials lists what the Go linker says that it has put into a program:
// the modules with the checksums that go.sum holds them to.
func billOfMaterials(binary string, o options, p program) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = "" // the same source makes the same bytes
	bom.Metadata = &cdx.Metadata{
		Timestamp: o.created.Format("2006-01-02T15:04:05Z"),
		Component: &cdx.Component{
			Type: cdx.ComponentTypeContainer, Name: "pixel-" + p.name, Version: o.version, Description: p.description,
			BOMRef: "pixel-" + p.name,
		},
	}
	components := []cdx.Component{{
		Type: cdx.ComponentTypePlatform, Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"),
		PackageURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"), BOMRef: "std",
	}, {
		Type: cdx.ComponentTypeApplication, Name: info.Main.Path, Version: o.version,
		PackageURL: "pkg:golang/" + info.Main.Path + "@" + o.version, BOMRef: info.Main.Path,
	}}
	for _, m := range info.Deps {
		switch {
		case m.Replace == nil:
		case strings.HasPrefix(m.Replace.Path, ".") || filepath.IsAbs(m.Replace.Path): // a folder of the project
			m = &debug.Module{Path: m.Path, Version: o.version}
		default:
			m = m.Replace
		}
		c := cdx.Component{
			Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version,
			PackageURL: "pkg:golang/" + m.Path + "@" + m.Version, BOMRef: m.Path + "@" + m.Version,
		}
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == 32 {
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
		}
		components = append(components, c)
	}
	bom.Components = &components
	var b bytes.Buffer
	e := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON)
	e.SetPretty(true)
	err = e.Encode(bom)
	return b.Bytes(), err
}
