package main

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// exitTexts are what exit codes mean, as in README.md.
var exitTexts = []struct {
	code int
	text string
}{
	{0, "the show ended, or was ended with Ctrl-C"},
	{exitUsage, "wrong usage"},
	{exitData, "nothing playable; check found something that would not play, or probe something wrong"},
	{exitNoInput, "an input is missing, or has given nothing for all of --max-stall"},
	{exitUnavailable, "not on the air within --max-outage"},
	{exitSoftware, "a fault of icepush"},
	{exitCantCreate, "the file of --as-run cannot be written"},
	{exitTempFail, "the mount was in use for all of --max-outage, or another icepush on this machine has it; check found it in use"},
	{exitProtocol, "the server refused the stream"},
	{exitNoPerm, "the server refused the password"},
	{exitConfig, "bad configuration: a URL, a mount, no password"},
	{130, "check or plan was interrupted"},
}

// man returns the manual page, in the macros of man(7).
func (m *manual) man() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" icepush gen man wrote it.`)
	line(`.TH ICEPUSH 1 "%s" "icepush %s" "User Commands"`, buildDate(), troff(version()))
	line(".nh\n.ad l") // names of variables stay whole
	line(".SH NAME\nicepush \\- %s", troff(m.Push.Usage))
	line(".SH SYNOPSIS")
	for _, t := range append([]topic{m.Push}, m.Shown()...) {
		words := strings.Fields(t.Synopsis)
		n := 1
		if t.Name != "" {
			n = 2
		}
		line("\\fB%s\\fR %s\n.br", troff(strings.Join(words[:n], " ")), troff(strings.Join(words[n:], " ")))
	}
	line("\\fBicepush\\fR \\fBgen\\fR man|bash|zsh|fish|flags")
	line(".SH DESCRIPTION\n%s", troff(m.Push.Text))
	line(".SH EXAMPLES")
	manExamples(&b, "")
	line(".SH FLAGS")
	own := map[string]option{} // of the push
	for _, o := range m.Push.Flags() {
		own[o.Name] = o
	}
	m.Push.manFlags(&b, ".SS", nil)
	line(".SH COMMANDS")
	for _, t := range m.Shown() {
		line(".SS icepush %s", troff(t.Name))
		if t.Whole {
			line("%s", troff(t.Text))
		} else {
			line("%s.", troff(capitalised(t.Usage)))
			if len(t.Words) > 0 {
				line(".PP\n.nf\n%s\n.fi", troff(t.Text))
			}
			t.manFlags(&b, "", own)
		}
		manExamples(&b, t.Name)
	}
	line(".SH EXIT STATUS")
	for _, e := range exitTexts {
		line(".TP\n.B %d\n%s", e.code, troff(e.text))
	}
	line(`.SH ENVIRONMENT
Each flag names its variable, which the flag beats. Passwords have others, too:
.TP
.B ICEPUSH_PASSWORD
the password of the source, in place of a file that \fBICEPUSH_PASSWORD_FILE\fR names
.TP
.B ICECAST_SOURCE_PASSWORD
the same, when neither of them is there
.TP
.B ICEPUSH_SOURCE_PASSWORD
the password for sources that send to \fBicepush serve\fR
.TP
.B HTTP_PROXY\fR, \fBHTTPS_PROXY\fR, \fBNO_PROXY
proxies on the way to the server
.SH FILES
.TP
.I /etc/icepush/NAME.env
variables of the service \fBicepush@NAME\fR, whose \fBICEPUSH_ARGS\fR are its words
.TP
.I /etc/icepush/NAME.password
its password, for root alone to read
.SH SEE ALSO
.BR ffmpeg (1),
.BR systemd.timer (5)`)
	return b.String()
}

// manExamples writes how a command is used.
func manExamples(b *strings.Builder, command string) {
	if text := examples[command]; text != "" {
		fmt.Fprintf(b, ".PP\n.nf\n.RS 4\n%s\n.RE\n.fi\n", troff(text))
	}
}

// manFlags writes the flags of a command. Of those that are the same as the flags of
// another only the names are told.
func (t *topic) manFlags(b *strings.Builder, heading string, as map[string]option) {
	var same []string
	for _, g := range t.Groups {
		if heading != "" && g.Name != "" {
			fmt.Fprintf(b, "%s %s\n", heading, troff(capitalised(g.Name)))
		}
		for _, o := range g.Flags {
			if as != nil && o.Name == "help" {
				continue
			}
			if other, ok := as[o.Name]; ok && other.Text == o.Text && other.Default == o.Default {
				same = append(same, `\fB`+troff("--"+o.Name)+`\fR`)
				continue
			}
			fmt.Fprintf(b, ".TP\n\\fB%s\\fR", troff("--"+o.Name))
			if o.Short != "" {
				fmt.Fprintf(b, ", \\fB%s\\fR", troff("-"+o.Short))
			}
			if o.Value != "" {
				fmt.Fprintf(b, " \\fI%s\\fR", troff(o.Value))
			}
			fmt.Fprintf(b, "\n%s", troffText(o.Text))
			if o.Default != "" {
				fmt.Fprintf(b, " (default: %s)", troff(o.Default))
			}
			if o.Env != "" {
				fmt.Fprintf(b, " [%s]", troff(o.Env))
			}
			b.WriteString("\n")
		}
	}
	if len(same) > 0 {
		fmt.Fprintf(b, ".PP\nAs above: %s.\n", strings.Join(same, ", "))
	}
}

// troff returns a text as troff has to be given it.
func troff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, "'", `\(aq`, `"`, `\(dq`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// troffText is troff with what stands in backquotes in italics.
func troffText(s string) string {
	parts := strings.Split(s, "`")
	for i := range parts {
		if parts[i] = troff(parts[i]); i%2 == 1 {
			parts[i] = `\fI` + parts[i] + `\fR`
		}
	}
	return strings.Join(parts, "")
}

// buildDate returns the day of what was built, "" when it is not known.
func buildDate() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" && len(s.Value) >= len("2006-01-02") {
			return s.Value[:len("2006-01-02")]
		}
	}
	return ""
}
