package main

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// The completions know the program by heart, and do not run it. Each finds the command as
// sortArgs does: the first word that is neither a flag nor the value of one.

// bash returns the completion for bash. It needs nothing of the package bash-completion.
func (m *manual) bash() string { return m.fill(bashTemplate) }

// zsh returns the completion for zsh.
func (m *manual) zsh() string { return m.fill(zshTemplate) }

// fish returns the completion for fish.
func (m *manual) fish() string { return m.fill(fishTemplate) }

// fill fills a template. That it fails is our own fault.
func (m *manual) fill(text string) string {
	var b strings.Builder
	t := template.Must(template.New("").Delims("<<", ">>").Funcs(template.FuncMap{
		"brief": brief, "quote": quote, "spec": zshSpec, "join": strings.Join,
	}).Parse(text))
	if err := t.Execute(&b, m); err != nil {
		panic(err)
	}
	return b.String()
}

// Names returns the names of all commands.
func (m *manual) Names() (names []string) {
	for _, t := range m.Commands {
		names = append(names, t.Name)
	}
	return names
}

// Where returns what the completions call the place where this command's flags are:
// "start" is before any word, "input" behind one that is no command.
func (t topic) Where() string {
	if t.Name == "" {
		return "start input"
	}
	return t.Name
}

// Distinct returns the flags of all commands, each name once.
func (m *manual) Distinct() []option {
	var flags []option
	for _, t := range m.Topics() {
		flags = append(flags, t.Flags()...)
	}
	slices.SortStableFunc(flags, func(a, b option) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(flags, func(a, b option) bool { return a.Name == b.Name })
}

// Valued returns the names of the flags that take a value.
func (m *manual) Valued() (names []string) {
	for _, o := range m.Distinct() {
		if o.Value != "" {
			names = append(names, "--"+o.Name)
		}
	}
	return names
}

// quote returns a text as one word for a shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// zshSpec returns a flag as _arguments has to be told of it.
func zshSpec(o option) string {
	text := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(brief(o.Text))
	names := []string{"--" + o.Name}
	if o.Short != "" {
		names = append(names, "-"+o.Short)
	}
	var specs []string
	for _, name := range names {
		spec := name
		switch {
		case o.Repeat:
			spec = "*" + spec
		case len(names) > 1:
			spec = "(" + strings.Join(names, " ") + ")" + spec
		}
		if o.Value != "" {
			spec += "="
		}
		spec += "[" + text + "]"
		switch {
		case o.Value == "":
		case len(o.Words) > 0 && o.Files:
			spec += fmt.Sprintf(":%s: _icepush_or_files %s", o.Value, strings.Join(o.Words, " "))
		case len(o.Words) > 0:
			spec += fmt.Sprintf(":%s:(%s)", o.Value, strings.Join(o.Words, " "))
		case o.Files:
			spec += fmt.Sprintf(":%s:_files", o.Value)
		default:
			spec += fmt.Sprintf(":%s: ", o.Value)
		}
		specs = append(specs, quote(spec))
	}
	return strings.Join(specs, " ")
}

const bashTemplate = `# bash completion for icepush; icepush gen bash wrote it.

_icepush_words() { # WORDS...: those that fit
	local word
	for word; do
		[[ $word == "$cur"* ]] && COMPREPLY+=("$word")
	done
}

_icepush_files() { # what is quoted does not fit: readline finds that by itself (-o default)
	local file
	compopt -o filenames 2>/dev/null
	while IFS= read -r file; do
		COMPREPLY+=("$file")
	done < <(compgen -f -- "$cur")
}

_icepush() {
	local cur=${COMP_WORDS[COMP_CWORD]} at=start flag= first=yes joined= word i n
	local -a words=()
	COMPREPLY=()
	# Bash breaks words at = and :, too: they are put together again.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]} n=${#words[@]}
		if ((n)) && [[ $joined || $word == [=:]* ]]; then
			words[n - 1]+=$word
		else
			words+=("$word")
		fi
		joined=
		[[ $word == *[=:] ]] && joined=yes
	done
	n=$((${#words[@]} - 1))
	for ((i = 0; i < n; i++)); do
		case ${words[i]} in
		--)
			at=files
			break
			;;
		<<join .Valued " | ">>)
			((++i < n)) || flag=${words[i - 1]}
			;;
		-*) ;;
		<<join .Names " | ">>)
			if [[ $at == start ]]; then at=${words[i]}; else first=; fi
			;;
		*)
			if [[ $at == start ]]; then at=input; else first=; fi
			;;
		esac
	done
	if [[ ! $flag && $at != files && ${words[n]} == --*=* ]]; then
		flag=${words[n]%%=*}
		[[ $cur == = ]] && cur=
	fi
	case $flag in
<<- range .Distinct>><<if .Value>><<if or .Words .Files>>
	--<<.Name>>)
<<- if .Words>>
		_icepush_words <<join .Words " ">>
<<- end>><<if .Files>>
		_icepush_files
<<- else>>
		compopt +o default 2>/dev/null
<<- end>>
		return
		;;
<<- end>><<end>><<end>>
	-*)
		compopt +o default 2>/dev/null
		return
		;;
	esac
	if [[ $cur == -* && $at != files ]]; then
		case $at in
<<- range .Topics>>
		<<if .Name>><<.Name>><<else>>start | input<<end>>)
			_icepush_words<<range .Flags>> --<<.Name>><<end>>
			;;
<<- end>>
		esac
		return
	fi
	case $at in
	start)
		_icepush_words<<range .Shown>> <<.Name>><<end>>
		_icepush_files
		;;
<<- range .Commands>><<if or .Words (not .Files)>>
	<<.Name>>)
<<- if .Words>>
		if [[ $first ]]; then
			_icepush_words<<range .Words>> <<.Name>><<end>>
			compopt +o default 2>/dev/null
			return
		fi
<<- end>><<if .Files>>
		_icepush_files
<<- else>>
		compopt +o default 2>/dev/null
<<- end>>
		;;
<<- end>><<end>>
	*) _icepush_files ;;
	esac
}

complete -o default -F _icepush icepush
`

const zshTemplate = `#compdef icepush
# zsh completion for icepush; icepush gen zsh wrote it.

_icepush_or_files() { # WORDS...
  _alternative "words:word:($*)" 'files:file:_files'
}

_icepush_start() {
  _alternative 'commands:command:_icepush_commands' 'files:input:_files'
}

_icepush_commands() {
  local -a commands=(
<<- range .Shown>>
    <<.Name>>:<<quote (brief .Usage)>>
<<- end>>
  )
  _describe -t commands command commands
}
<<- range .Commands>><<if .Words>>

_icepush_<<.Name>>() {
  local -a known=(
<<- range .Words>>
    <<.Name>>:<<quote (brief .Usage)>>
<<- end>>
  )
  _describe -t words word known
}
<<- end>><<end>>

_icepush() {
  local command= curcontext=$curcontext
  local -i i
  local -a valued=(<<join .Valued " ">>) flags
  for (( i = 2; i < CURRENT; i++ )); do
    case $words[i] in
      --) break ;;
      -*) (( ${valued[(Ie)$words[i]]} )) && (( i++ )) ;;
      <<join .Names "|">>)
        command=$words[i] words[i]=() curcontext=${curcontext%:*:*}:icepush-$command:
        (( CURRENT-- ))
        break ;;
      *) break ;;
    esac
  done
  case $command in
<<- range .Topics>>
    <<if .Name>><<.Name>><<else>>''<<end>>)
      flags=(
<<- range .Flags>>
        <<spec .>>
<<- end>>
<<- if not .Name>>
        '1: :_icepush_start'
<<- else if .Words>>
        '1:word:_icepush_<<.Name>>'
<<- end>>
<<- if .Files>>
        '*:file:_files'
<<- end>>
      ) ;;
<<- end>>
  esac
  _arguments -S : $flags
}

if [[ $funcstack[1] == _icepush ]]; then
  _icepush "$@"
else
  compdef _icepush icepush
fi
`

const fishTemplate = `# fish completion for icepush; icepush gen fish wrote it.

function __icepush_at --description 'whether the command is one of these; start: no word yet, input: no command, NAME/first: no argument yet'
    set -l words (commandline -opc)
    set -e words[1]
    set -l at start
    while set -q words[1]
        switch $words[1]
            case --
                set at files
                break
            case <<join .Valued " ">>
                set -e words[1]
            case '-*'
            case <<join .Names " ">>
                test $at[1] = start; and set at $words[1] $words[1]/first; or set at $at[1]
            case '*'
                test $at[1] = start; and set at input; or set at $at[1]
        end
        set -e words[1]
    end
    for place in $at
        contains -- $place $argv; and return
    end
    return 1
end
<<range .Shown>>
complete -c icepush -n '__icepush_at start' -a <<.Name>> -d <<quote (brief .Usage)>>
<<- end>>
<<range .Commands>><<$name := .Name>>
<<- if not .Files>>
complete -c icepush -n '__icepush_at <<.Name>>' -f
<<- end>>
<<- range .Words>>
complete -c icepush -n '__icepush_at <<$name>>/first' -f -a <<.Name>> -d <<quote (brief .Usage)>>
<<- end>><<end>>
<<range .Topics>><<$at := .Where>>
<<- range .Flags>>
complete -c icepush -n '__icepush_at <<$at>>'<<if .Short>> -s <<.Short>><<end>> -l <<.Name>>
<<- if .Words>> -<<if not .Files>>x<<else>>rF<<end>> -a '<<join .Words " ">>'
<<- else if .Files>> -rF
<<- else if .Value>> -x
<<- end>> -d <<quote (brief .Text)>>
<<- end>><<end>>
`
