package main

import (
	"flag"
	"io"
	"strings"
	"time"
)

const help = `usage:
  relay read NAME --from N [--follow] [--beat 10s]   write NAME's bytes from N on to the standard output
  relay put NAME --size N                            take N bytes from the standard input, and name them when whole
  relay receive NAME [--linger 24h]                  wait until NAME was put
  relay hold [--linger 24h] [--wait-context]         stay until SIGTERM, and then until done
  relay stay [--linger 24h]                          stay until done or SIGTERM
  relay done                                         let hold and stay end
  relay give NAME [--size N] [--linger 24h]          put a file in a FIFO's place, and write it to whoever waits there
  relay usage                                        print the memory and CPU of this container
  relay install PATH                                 copy this program to PATH
  relay cat PATH                                     write a regular file's bytes to the standard output
NAME is a file in --dir (default /drayage/io). --state is the folder of .ended and .done (default: --dir).`

// request is what the command line asks for.
type request struct {
	command string
	name    string // of a file in dir
	path    string // of a file anywhere
	dir     string
	state   string
	from    int64
	size    int64 // -1: up to the end of the input
	follow  bool
	context bool
	beat    time.Duration // 0: none
	linger  time.Duration
}

const contextFile, messagesFile = "context.json", "messages.jsonl"

func parse(words []string) (request, error) {
	if len(words) == 0 {
		return request{}, fail(failed, "no command\n%s", help)
	}
	asked := request{command: words[0]}
	set := flag.NewFlagSet(words[0], flag.ContinueOnError)
	set.SetOutput(io.Discard)
	folders := func() {
		set.StringVar(&asked.dir, "dir", "/drayage/io", "")
		set.StringVar(&asked.state, "state", "", "")
	}
	linger := func() { set.DurationVar(&asked.linger, "linger", 24*time.Hour, "") }
	takes := "NAME"
	switch asked.command {
	case "read":
		folders()
		set.Int64Var(&asked.from, "from", -1, "")
		set.BoolVar(&asked.follow, "follow", false, "")
		set.DurationVar(&asked.beat, "beat", 10*time.Second, "")
	case "put":
		folders()
		set.Int64Var(&asked.size, "size", -1, "")
	case "receive":
		folders()
		linger()
	case "give":
		folders()
		linger()
		set.Int64Var(&asked.size, "size", -1, "")
	case "hold":
		takes = ""
		folders()
		linger()
		set.BoolVar(&asked.context, "wait-context", false, "")
	case "stay":
		takes = ""
		folders()
		linger()
	case "done":
		takes = ""
		folders()
	case "usage":
		takes = ""
	case "install", "cat":
		takes = "PATH"
	default:
		return request{}, fail(failed, "unknown command %q\n%s", asked.command, help)
	}
	given, err := parseFlags(set, words[1:])
	if err != nil {
		return request{}, fail(failed, "%s: %v\n%s", asked.command, err, help)
	}
	switch {
	case takes == "" && len(given) > 0:
		return request{}, fail(failed, "%s takes no argument, got %q\n%s", asked.command, given, help)
	case takes != "" && len(given) != 1:
		return request{}, fail(failed, "%s takes one %s, got %q\n%s", asked.command, takes, given, help)
	case takes == "NAME":
		asked.name = given[0]
	case takes == "PATH":
		asked.path = given[0]
	}
	if asked.state == "" {
		asked.state = asked.dir
	}
	return asked, check(asked, takes)
}

// parseFlags returns the words that are no flags, which may stand before, between or behind them.
func parseFlags(set *flag.FlagSet, words []string) ([]string, error) {
	var given []string
	for {
		if err := set.Parse(words); err != nil {
			return nil, err
		}
		if words = set.Args(); len(words) == 0 {
			return given, nil
		}
		given, words = append(given, words[0]), words[1:]
	}
}

func check(asked request, takes string) error {
	switch {
	// A dot begins the names of the relay's own files.
	case takes == "NAME" && (asked.name == "" || asked.name[0] == '.' || strings.ContainsAny(asked.name, "/\x00")):
		return fail(failed, "NAME must be the name of a file in --dir, without a folder or a dot before it, got %q",
			asked.name)
	case takes == "PATH" && asked.path == "":
		return fail(failed, "%s takes one PATH, got none\n%s", asked.command, help)
	case asked.command == "read" && asked.from < 0:
		return fail(failed, "read needs --from N, the first byte to read, 0 or more")
	case asked.command == "put" && asked.size < 0:
		return fail(failed, "put needs --size N, the number of bytes to come, 0 or more")
	case asked.beat < 0 || asked.linger < 0:
		return fail(failed, "--beat and --linger must not be negative")
	}
	return nil
}
