package frontend

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

// The page begins with this module, and looks as this style sheet says.
const (
	mainFile  = "js/main.js"
	styleFile = "css/main.css"
)

// join puts all modules into the file of the first one, and all style sheets
// likewise: a browser spends some 5 ms on each request, wherever from, and
// there are more than fifty modules. Names stay, and modules that are imported
// later still run then. The same files come out as the same bytes.
//
// It changes contents. A page without the first file stays as it is.
func join(contents map[string][]byte) error {
	return errors.Join(joinFrom(mainFile, contents), joinFrom(styleFile, contents))
}

func joinFrom(first string, contents map[string][]byte) error {
	if _, ok := contents[first]; !ok {
		return nil
	}
	parts := &parts{first: first, contents: contents}
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{first},
		Outdir:      "/",
		Bundle:      true,
		Format:      api.FormatESModule,
		Target:      api.ESNext,
		Charset:     api.CharsetUTF8,
		// What is left can be read once its lines are broken, and its positions
		// mean something.
		MinifyWhitespace: true,
		LineLimit:        160,
		TsconfigRaw:      "{}", // or one is looked for
		Plugins:          []api.Plugin{parts.plugin()},
	})
	if err := told(append(result.Errors, result.Warnings...)); err != nil {
		return err
	}
	if len(result.OutputFiles) != 1 {
		return fmt.Errorf("%d files came of %s", len(result.OutputFiles), first)
	}
	for _, name := range parts.read {
		delete(contents, name)
	}
	contents[first] = result.OutputFiles[0].Contents
	return nil
}

// parts gives esbuild the page's modules or style sheets. They import each
// other by relative paths, and nothing else, least of all from the file system.
type parts struct {
	first    string
	contents map[string][]byte

	mu   sync.Mutex // files are read side by side
	read []string
}

var loaders = map[string]api.Loader{".js": api.LoaderJS, ".css": api.LoaderCSS}

func (p *parts) plugin() api.Plugin {
	const namespace = "page"
	return api.Plugin{Name: namespace, Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			name, err := p.resolve(args)
			return api.OnResolveResult{Path: name, Namespace: namespace}, err
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: namespace}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			p.mu.Lock()
			p.read = append(p.read, args.Path)
			p.mu.Unlock()
			body := string(p.contents[args.Path])
			return api.OnLoadResult{Contents: &body, Loader: loaders[path.Ext(args.Path)]}, nil
		})
	}}
}

// resolve returns the name of the file that is imported.
func (p *parts) resolve(args api.OnResolveArgs) (string, error) {
	// Where the working folder has a file of its name, the entry is told by
	// another one.
	name := p.first
	if args.Kind != api.ResolveEntryPoint {
		if !strings.HasPrefix(args.Path, "./") && !strings.HasPrefix(args.Path, "../") {
			return "", fmt.Errorf("%q is no relative path", args.Path)
		}
		name = path.Join(path.Dir(args.Importer), args.Path)
	}
	if _, ok := p.contents[name]; !ok {
		return "", fmt.Errorf("the page has no %s", name)
	}
	return name, nil
}

// told makes an error of what esbuild says.
func told(messages []api.Message) error {
	all := make([]error, 0, len(messages))
	for _, m := range messages {
		place := ""
		if m.Location != nil {
			place = fmt.Sprintf("%s:%d: ", m.Location.File, m.Location.Line)
		}
		all = append(all, errors.New(place+m.Text))
	}
	return errors.Join(all...)
}
