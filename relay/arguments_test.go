package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFlagsMayStandBeforeAndBehindTheName(t *testing.T) {
	for _, words := range []string{
		"read messages.jsonl --from 7 --follow --beat 3s --dir /in --state /state",
		"read --from=7 --follow messages.jsonl --dir=/in --beat=3s --state=/state",
	} {
		asked, err := parse(strings.Fields(words))
		must(t, err)
		expected := request{
			command: "read", name: messagesFile, dir: "/in", state: "/state", from: 7, follow: true, beat: 3 * time.Second,
		}
		if asked != expected {
			t.Errorf("%s: %+v", words, asked)
		}
	}
}

func TestWhatIsNotSaidHasDefaults(t *testing.T) {
	const folder, day = "/drayage/io", 24 * time.Hour
	for words, expected := range map[string]request{
		"read a --from 0":        {command: "read", name: "a", dir: folder, state: folder, beat: 10 * time.Second},
		"put a --size 3":         {command: "put", name: "a", dir: folder, state: folder, size: 3},
		"give a":                 {command: "give", name: "a", dir: folder, state: folder, size: -1, linger: day},
		"receive a --dir /b":     {command: "receive", name: "a", dir: "/b", state: "/b", linger: day},
		"hold --wait-context":    {command: "hold", dir: folder, state: folder, context: true, linger: day},
		"stay --linger 1m":       {command: "stay", dir: folder, state: folder, linger: time.Minute},
		"done":                   {command: "done", dir: folder, state: folder},
		"usage":                  {command: "usage"},
		"install /drayage/relay": {command: "install", path: "/drayage/relay"},
		"cat etc/file":           {command: "cat", path: "etc/file"},
	} {
		if asked, err := parse(strings.Fields(words)); err != nil || asked != expected {
			t.Errorf("%s: %v, %+v", words, err, asked)
		}
	}
}

func TestWrongUsageIsSaid(t *testing.T) {
	for words, said := range map[string]string{
		"":                                   "no command",
		"fly":                                "unknown command",
		"--help":                             "usage:",
		"read --from 0":                      "takes one NAME",
		"read a b --from 0":                  "takes one NAME",
		"read a":                             "--from N",
		"read a --from -1":                   "--from N",
		"read a --from x":                    "invalid value",
		"read a --from 99999999999999999999": "invalid value",
		"read ../a --from 0":                 "name of a file",
		"read .ended --from 0":               "name of a file",
		"put a":                              "--size N",
		"put a --size 1 --follow":            "not defined: -follow",
		"stay here":                          "takes no argument",
		"stay --linger soon":                 "invalid value",
		"stay --linger -1s":                  "not be negative",
		"cat":                                "takes one PATH",
		"install a b":                        "takes one PATH",
		"usage --dir /":                      "not defined: -dir",
	} {
		done := run(t, "", strings.Fields(words)...)
		done.expect(failed, said)
		if done.output.len() > 0 {
			t.Errorf("%s: %q", words, done.output.String())
		}
	}
}

// FuzzParse sees that no words crash it, and that none reach a file outside of the folder or a file of the relay's own.
func FuzzParse(f *testing.F) {
	for _, words := range []string{
		"read\nmessages.jsonl\n--from\n7", "put\n../x\n--size\n3", "hold\n--linger\n1h\n--wait-context", "cat\n--\n--x",
		"read\n.ended\n--from=0",
		"give\na\n-size=0x10", "stay\n--\n", "read\na\x00b\n--from\n1",
	} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Split(text, "\n")
		asked, err := parse(words)
		if err != nil {
			if codeOf(err) != failed || err.Error() == "" {
				t.Fatal(err)
			}
			return
		}
		if asked.command != words[0] || asked.from < 0 || asked.command == "put" && asked.size < 0 ||
			asked.beat < 0 || asked.linger < 0 {
			t.Fatalf("%+v", asked)
		}
		switch asked.command {
		case "read", "put", "receive", "give":
			if filepath.Dir(filepath.Join("/folder", asked.name)) != "/folder" || strings.HasPrefix(asked.name, ".") {
				t.Fatalf("%+v", asked)
			}
		case "cat", "install":
			if asked.path == "" {
				t.Fatalf("%+v", asked)
			}
		}
	})
}
