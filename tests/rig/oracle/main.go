// What the real Alertmanager makes of matchers and route trees: one question a line in, one answer a line out, in JSON.
// It decides nothing by itself; its words are those of Alertmanager's own packages, with the UTF-8 parser alone.
package main

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"

	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
)

type question struct {
	Matchers *string          // a text to read, or
	Config   string           // a configuration to load (YAML, hence also JSON)
	Labels   []model.LabelSet // what to hold against it
}

// Of matchers: what was read, and for each label set whether all hold. Of a configuration: for each label set the
// routes taken. In both cases, why it was refused.
type answer struct {
	Error string      `json:"error,omitempty"`
	Read  [][3]string `json:"read,omitempty"`
	Held  []bool      `json:"held,omitempty"`
	Taken [][]taken   `json:"taken,omitempty"`
}

type taken struct {
	Path     string   `json:"path"`
	Receiver string   `json:"receiver"`
	GroupBy  []string `json:"group_by"`
	Pace     [3]int64 `json:"pace"` // group_wait, group_interval, repeat_interval in seconds
	Mute     []string `json:"mute"`
	Active   []string `json:"active"`
}

func main() {
	quiet := slog.New(slog.DiscardHandler)
	flags, err := featurecontrol.NewFlags(quiet, featurecontrol.FeatureUTF8StrictMode)
	if err != nil {
		panic(err)
	}
	compat.InitFromFlags(quiet, flags)
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for in.More() {
		var asked question
		if err := in.Decode(&asked); err != nil {
			panic(err)
		}
		said, err := asked.answer()
		if err != nil {
			said = answer{Error: err.Error()}
		}
		if err := out.Encode(said); err != nil {
			panic(err)
		}
	}
}

func (q question) answer() (said answer, err error) {
	if q.Matchers != nil {
		return q.matchers()
	}
	loaded, err := config.Load(q.Config)
	if err != nil {
		return said, err
	}
	root := dispatch.NewRoute(loaded.Route, nil)
	paths := map[*dispatch.Route]string{}
	name(root, "0", paths)
	for _, labels := range q.Labels {
		found := []taken{}
		for _, route := range root.Match(labels) {
			found = append(found, of(route, paths[route]))
		}
		said.Taken = append(said.Taken, found)
	}
	return said, nil
}

func (q question) matchers() (said answer, err error) {
	read, err := compat.Matchers(*q.Matchers, "oracle")
	if err != nil {
		return said, err
	}
	for _, matcher := range read {
		said.Read = append(said.Read, [3]string{matcher.Name, matcher.Type.String(), matcher.Value})
	}
	for _, labels := range q.Labels {
		said.Held = append(said.Held, read.Matches(labels))
	}
	return said, nil
}

func name(route *dispatch.Route, path string, paths map[*dispatch.Route]string) {
	paths[route] = path
	for number, child := range route.Routes {
		name(child, path+"."+strconv.Itoa(number), paths)
	}
}

func of(route *dispatch.Route, path string) taken {
	options := route.RouteOpts
	groups := []string{}
	for label := range options.GroupBy {
		groups = append(groups, string(label))
	}
	slices.Sort(groups)
	if options.GroupByAll {
		groups = []string{"..."}
	}
	pace := [3]int64{
		int64(options.GroupWait.Seconds()), int64(options.GroupInterval.Seconds()), int64(options.RepeatInterval.Seconds()),
	}
	mute, active := append([]string{}, options.MuteTimeIntervals...), append([]string{}, options.ActiveTimeIntervals...)
	return taken{path, options.Receiver, groups, pace, mute, active}
}
