#![allow(clippy::unwrap_used)]

use super::files::{Disk, Mount, Shown, Tree};
use super::machine::Start;
use super::*;
use crate::testing::at;
use std::collections::BTreeMap;

/// What a container's script finds around it.
struct Place {
    own: Tree,
    volumes: BTreeMap<String, Tree>,
    node: Tree,
    mounts: Vec<Mount>,
}

impl Place {
    fn new() -> Self {
        let mount = |path: &str, shows, root: &str, read_only| Mount {
            at: path.to_owned(),
            shows,
            root: root.to_owned(),
            read_only,
        };
        Self {
            own: Tree::of_image(),
            volumes: BTreeMap::new(),
            node: Tree::default(),
            mounts: vec![
                mount("/shared", Shown::Volume("v".to_owned()), "", false),
                mount("/frozen", Shown::Volume("w".to_owned()), "", true),
                mount("/settings", Shown::Unknown, "", true),
            ],
        }
    }

    fn disk(&mut self) -> Disk<'_> {
        Disk {
            own: &mut self.own,
            volumes: &mut self.volumes,
            node: &mut self.node,
            mounts: &self.mounts,
        }
    }
}

const ENVIRONMENT: [(&str, Option<&str>); 5] = [
    ("HOSTNAME", Some("web-2")),
    ("WORDS", Some("a  b")),
    ("EMPTY", Some("")),
    ("INDEX", Some("3")),
    ("SECRET", None),
];

fn machine(script: &str) -> Result<Machine, NotUnderstood> {
    let program = Program::parse(script, true)?;
    let environment = ENVIRONMENT.map(|(name, text)| (name.to_owned(), text.map(str::to_owned)));
    Ok(Machine::new(Start {
        program: Arc::new(program),
        arguments: ["sh", "one", "two three"].map(str::to_owned).to_vec(),
        environment: &environment,
        directory: "/".to_owned(),
        seed: 7,
        at: at(0),
    }))
}

fn seconds(time: jiff::Timestamp) -> String {
    let after = time.duration_since(at(0)).as_secs_f64();
    format!("{after}")
}

fn show(pause: Pause) -> String {
    match pause {
        Pause::Until(time) => format!("until {}", seconds(time)),
        Pause::Forever => "forever".to_owned(),
        Pause::Ended(code, time) if time == at(0) => format!("exit {code}"),
        Pause::Ended(code, time) => format!("exit {code} at {}", seconds(time)),
        Pause::Stuck(why) => why.to_string(),
    }
}

/// Where a script comes to within a day, after what it wrote: `hello | exit 0`.
fn run(script: &str) -> String {
    let mut machine = match machine(script) {
        Ok(machine) => machine,
        Err(why) => return why.to_string(),
    };
    let mut place = Place::new();
    let end = show(machine.run(&mut place.disk(), at(86_400)));
    match machine.output().trim_end().replace('\n', " ") {
        output if output.is_empty() => end,
        output => format!("{output} | {end}"),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        assert_eq!(run(script), *expected, "{script}");
    }
}

#[test]
fn a_script_ends_with_the_code_of_its_last_command() {
    check(&[
        ("", "exit 0"),
        ("exit 3", "exit 3"),
        ("exit 256", "exit 0"),
        ("true", "exit 0"),
        ("false", "exit 1"),
        (":", "exit 0"),
        ("/bin/false", "exit 1"),
        ("true; false", "exit 1"),
        ("false\ntrue", "exit 0"),
        ("! false", "exit 0"),
        ("! true", "exit 1"),
        ("false; exit", "exit 1"),
        ("# nothing\nexit 4 # there", "exit 4"),
        ("exit \\\n 5", "exit 5"),
        ("A=1", "exit 0"),
        ("A=$(false)", "exit 1"),
    ]);
}

#[test]
fn lists_and_branches_go_on_where_they_should() {
    check(&[
        ("true && exit 2", "exit 2"),
        ("false && exit 2", "exit 1"),
        ("false || exit 2", "exit 2"),
        ("true || exit 2", "exit 0"),
        ("false && exit 2 || exit 3", "exit 3"),
        ("true && false || echo a && echo b", "a b | exit 0"),
        ("true ||\n exit 1", "exit 0"),
        ("if true; then exit 5; fi", "exit 5"),
        ("if false; then exit 5; fi", "exit 0"),
        (
            "if ! true; then exit 5; elif [ 1 = 1 ]; then exit 6; else exit 7; fi",
            "exit 6",
        ),
        ("if false\nthen exit 5\nelse\n exit 7\nfi", "exit 7"),
        (
            "if false || true && false; then exit 1; else exit 8; fi",
            "exit 8",
        ),
        (
            "case $INDEX in 1|2) exit 1;; 3) exit 9;; *) exit 2;; esac",
            "exit 9",
        ),
        (
            "case web-7 in db-*) exit 1 ;; web-*) exit 4 ;; esac",
            "exit 4",
        ),
        ("case x in y) exit 1; esac", "exit 0"),
        ("{ echo a; echo b; }", "a b | exit 0"),
        ("set -e; false; exit 9", "exit 1"),
        (
            "set -e; false || true; if false; then :; fi; ! true; exit 9",
            "exit 9",
        ),
        ("set -e; false && true; exit 9", "exit 9"),
        ("set -e; true && false; exit 9", "exit 1"),
        ("set -o errexit; (", "not understood: ("),
    ]);
}

#[test]
fn loops_turn_as_often_as_they_should() {
    check(&[
        ("for i in a b c; do echo $i; done", "a b c | exit 0"),
        (
            "for i in $(seq 3); do [ $i -eq 2 ] && continue; echo $i; done",
            "1 3 | exit 0",
        ),
        (
            "for i in 1 2 3; do if [ $i = 2 ]; then break; fi; echo $i; done; exit 4",
            "1 | exit 4",
        ),
        (
            "for i in 1 2; do for j in x y; do echo $i$j; continue 2; done; done",
            "1x 2x | exit 0",
        ),
        (
            "for i in 1 2; do while true; do break 2; done; done; echo $i",
            "1 | exit 0",
        ),
        ("for a; do echo [$a]; done", "[one] [two three] | exit 0"),
        (
            "i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; exit $i",
            "exit 3",
        ),
        (
            "i=0\nuntil [ $i -ge 4 ]\ndo\n i=$(expr $i + 1)\ndone\nexit $i",
            "exit 4",
        ),
        (
            "i=0; while [ $i -lt 5 ]; do sleep 2; i=$((i+1)); done",
            "exit 0 at 10",
        ),
        ("while true; do sleep 5; done", "forever"),
        ("while :; do echo hello; sleep 10; done", "forever"),
        ("while true; do sleep infinity; sleep 1; done", "forever"),
        ("echo a | cut -é1", "not understood: cut é1"),
        ("for i in {1..3}; do echo $i; done", "1 2 3 | exit 0"),
        ("break", "not understood: break"),
    ]);
}

#[test]
fn a_loop_that_does_not_wait_lets_others_have_their_turn() {
    let mut machine = machine("while true; do :; done").unwrap();
    let pause = machine.run(&mut Place::new().disk(), at(3));
    assert_eq!(show(pause), "until 4");
}

#[test]
fn time_passes_where_a_script_sleeps() {
    check(&[
        ("sleep 5", "exit 0 at 5"),
        ("sleep 0.5; exit 3", "exit 3 at 0.5"),
        ("sleep 1m 30s", "exit 0 at 90"),
        ("sleep infinity", "forever"),
        ("sleep inf", "forever"),
        ("sleep 1000000", "until 1000000"),
        ("sleep 1 && sleep 2; exit 1", "exit 1 at 3"),
        ("tail -f /dev/null", "forever"),
        ("sleep 10 & exit 1", "exit 1"),
        ("sleep 10 & wait; exit 2", "exit 2 at 10"),
        ("sleep 10 & sleep 20 & wait", "exit 0 at 20"),
        ("sleep infinity & wait", "forever"),
        ("exec sleep 3; exit 9", "exit 0 at 3"),
        ("exec false; exit 9", "exit 1"),
        ("usleep 500000", "exit 0 at 0.5"),
        ("sleep x", "sleep: invalid number | exit 1"),
        (
            "echo a; date +%s; sleep 2; date +%s",
            "a 1780000000 1780000002 | exit 0 at 2",
        ),
    ]);
}

#[test]
fn words_become_what_a_shell_makes_of_them() {
    check(&[
        (
            "echo $WORDS; echo \"$WORDS\"; echo '$WORDS'",
            "a b a  b $WORDS | exit 0",
        ),
        ("echo a\"b\"'c'\\ d", "abc d | exit 0"),
        ("echo ${INDEX}x $INDEX$INDEX", "3x 33 | exit 0"),
        (
            "echo ${NONE:-d} ${EMPTY:-d} ${EMPTY-d}. ${INDEX:+y}",
            "d d . y | exit 0",
        ),
        ("echo ${X:=5}; echo $X", "5 5 | exit 0"),
        (
            "echo ${HOSTNAME##*-} ${HOSTNAME%-*} ${HOSTNAME#web} ${#HOSTNAME}",
            "2 web -2 5 | exit 0",
        ),
        (
            "F=/a/b.c.d; echo ${F##*/} ${F%.*} ${F%%.*}",
            "b.c.d /a/b.c /a/b | exit 0",
        ),
        (
            "echo $((1 + 2 * 3)) $(( (1+2)*3 )) $((INDEX % 2)) $(($INDEX - 5)) $((7/2))",
            "7 9 1 -2 3 | exit 0",
        ),
        (
            "echo $((1 < 2 && 3 >= 3)) $((!0)) $((1<<4)) $((5 > 3 ? 8 : 9)) $((0x10))",
            "1 1 16 8 16 | exit 0",
        ),
        ("echo $((1/0))", "not understood: a division by zero"),
        ("echo $(echo a; echo b) `echo c`", "a b c | exit 0"),
        (
            "echo $(expr 7 % 2) $(expr 2 + 3) $(basename /a/b) $(dirname /a/b)",
            "1 5 b /a | exit 0",
        ),
        ("[ $(expr ${INDEX} % 2) -ne 0 ] && exit 1", "exit 1"),
        ("echo $# $1 \"$2\" $0 $$", "2 one two three sh 1 | exit 0"),
        ("set -- a b; shift; echo $# $1", "1 b | exit 0"),
        ("false; echo $?", "1 | exit 0"),
        ("echo \"a\tb\" \"\\$X \\\"\"", "a\tb $X \" | exit 0"),
        ("A=1; A=2 true; echo $A; A=3; echo $A", "1 3 | exit 0"),
        ("echo $EMPTY \"$EMPTY\" x", " x | exit 0"),
        (
            "cd /tmp; pwd; hostname; printf '%s-%d\\n' a 5",
            "/tmp web-2 a-5 | exit 0",
        ),
        ("echo $SECRET", "not understood: $SECRET"),
        (
            "echo $NONE; set -u; echo $NONE",
            "not understood: $NONE with set -u",
        ),
    ]);
}

#[test]
fn conditions_hold_as_test_says() {
    for (condition, holds) in [
        ("-z ''", true),
        ("-n \"$INDEX\"", true),
        ("-z $NONE", true),
        ("$INDEX", true),
        ("a = a", true),
        ("a == b", false),
        ("a != b", true),
        ("$INDEX -eq 3", true),
        ("2 -lt 3 -a 3 -le 3", true),
        ("2 -gt 3 -o 3 -ge 4", false),
        ("! 2 -gt 3", true),
        ("-d /tmp", true),
        ("-e /tmp/none", false),
        ("! -f /tmp/none", true),
        ("-f /tmp", false),
        ("-d /shared", true),
    ] {
        let expected = if holds { "exit 0" } else { "exit 1" };
        assert_eq!(run(&format!("[ {condition} ]")), expected, "{condition}");
        assert_eq!(run(&format!("test {condition}")), expected, "{condition}");
    }
    check(&[
        ("[[ $WORDS == 'a  b' && ! -e /x ]]", "exit 0"),
        (
            "[[ web-1 == web-* ]] && [[ ( a = b ) || 1 -eq 1 ]]",
            "exit 0",
        ),
        ("[[ -z $NONE ]] || exit 2", "exit 0"),
        ("[[ a < b ]]", "exit 0"),
        ("[[ a =~ b ]]", "not understood: =~"),
        ("[ a -eq 1 ]", "[: bad number | exit 2"),
        ("[ 1 = 1", "not understood: [ without its end"),
        ("[]", "not understood: []"),
    ]);
}

#[test]
fn files_are_found_again() {
    check(&[
        ("touch /shared/a; [ -r /shared/a ]", "exit 0"),
        (
            "echo x > /tmp/f; echo y >> /tmp/f; cat /tmp/f; wc -l < /tmp/f",
            "x y 2 | exit 0",
        ),
        ("echo x > /tmp/f; echo z > /tmp/f; cat /tmp/f", "z | exit 0"),
        (
            "echo ok >/tmp/health; rm -rf /tmp/health; cat /tmp/health",
            "cat: can't open '/tmp/health': No such file or directory | exit 1",
        ),
        ("cat /none 2>/dev/null || echo no", "no | exit 0"),
        ("cat /none > /dev/null 2>&1; exit $?", "exit 1"),
        (
            "echo a > /nowhere/b; echo $?",
            "sh: can't create /nowhere/b: No such file or directory 1 | exit 0",
        ),
        (
            "mkdir -p /tmp/a/b && touch /tmp/a/b/c && ls /tmp/a/b && rm -r /tmp/a && [ ! -e /tmp/a/b/c ]",
            "c | exit 0",
        ),
        (
            "mkdir /tmp/a; mkdir /tmp/a",
            "mkdir: '/tmp/a': File exists | exit 1",
        ),
        (
            "rm /none",
            "rm: '/none': No such file or directory | exit 1",
        ),
        ("rm -f /none", "exit 0"),
        (
            "touch /frozen/a",
            "touch: '/frozen/a': Read-only file system | exit 1",
        ),
        ("cd /tmp; touch a b; rm *; ls", "exit 0"),
        (
            "touch /tmp/a.x /tmp/b.x; for f in /tmp/*.x; do echo $f; done",
            "/tmp/a.x /tmp/b.x | exit 0",
        ),
        ("echo no /none*", "no /none* | exit 0"),
        (
            "echo a > /tmp/a; mv /tmp/a /tmp/b; cat /tmp/b; [ -e /tmp/a ]",
            "a | exit 1",
        ),
        ("echo -n > /tmp/a; [ -s /tmp/a ]; echo $?", "1 | exit 0"),
        (
            "echo DONE | tee /tmp/x; grep -q DON /tmp/x && echo yes",
            "DONE yes | exit 0",
        ),
        (
            "echo 'a b c' | awk '{print $2}'; echo a:b | cut -d: -f2; printf 'x\\ny\\n' | tail -n 1",
            "b b y | exit 0",
        ),
        ("[[ \"$( cat /tmp/none 2>/dev/null )\" == \"\" ]]", "exit 0"),
        (
            "cat /settings/key",
            "not understood: /settings/key, which only a real node has",
        ),
    ]);
}

#[test]
fn functions_have_arguments_and_locals() {
    check(&[
        (
            "f() { echo $1 $#; return 3; }; f x y; echo $?",
            "x 2 3 | exit 0",
        ),
        ("f() {\n  exit 4\n}\nf", "exit 4"),
        (
            "function f { local a=1; a=2; }; a=0; f; echo $a",
            "0 | exit 0",
        ),
        ("f() { sleep 2; return 1; }; f || exit 5", "exit 5 at 2"),
        ("f() { f; }; f", "not understood: f calls itself too often"),
        ("f > /tmp/x", "not understood: f"),
    ]);
}

#[test]
fn a_trap_runs_when_the_foreground_is_free() {
    let long =
        "_term(){\n\tsleep 5\n\texit 143\n}\ntrap _term SIGTERM\nwhile true; do\n\tsleep 1\ndone";
    for (script, told, end) in [
        // The foreground command is waited for.
        ("trap 'exit 7' TERM; sleep 10; exit 1", 3, "exit 7 at 10"),
        // `wait` is not.
        ("trap 'exit 7' TERM; sleep 10 & wait", 3, "exit 7 at 3"),
        (
            "trap 'echo bye' TERM; sleep infinity & wait $!; exit 4",
            3,
            "exit 4 at 3",
        ),
        // An idle loop is left at the end of a turn.
        (long, 3, "exit 143 at 9"),
        (
            "trap 'exit 0' SIGTERM INT; while true; do sleep 10; done",
            25,
            "exit 0 at 30",
        ),
        // Without a trap the first process of a container does not notice.
        ("sleep 10", 3, "exit 0 at 10"),
        ("while true; do sleep 1; done", 3, "forever"),
        ("trap '' TERM; sleep 10", 3, "exit 0 at 10"),
        (
            "trap 'exit 7' TERM; trap - TERM; sleep 10",
            3,
            "exit 0 at 10",
        ),
        (
            "trap 'touch /tmp/x' TERM; sleep 5; [ -e /tmp/x ]",
            3,
            "exit 0 at 5",
        ),
        ("trap 'exit 7' TERM; exec sleep 10", 3, "exit 0 at 10"),
        ("trap 'exit 9' EXIT; exit 1", 3, "exit 9"),
        ("trap 'sleep 1' EXIT; exit 2", 3, "exit 2 at 1"),
    ] {
        let mut machine = machine(script).unwrap();
        let mut place = Place::new();
        machine.run(&mut place.disk(), at(told));
        machine.terminate(at(told));
        let end_of = show(machine.run(&mut place.disk(), at(1000)));
        assert_eq!(end_of, end, "{script}");
    }
}

#[test]
fn what_is_outside_the_grammar_is_named() {
    check(&[
        ("curl http://web", "not understood: curl"),
        ("echo a; perl -e 1", "not understood: perl"),
        ("cat <<EOF\nEOF", "not understood: <<"),
        ("(exit 3)", "not understood: ("),
        ("a=(1 2)", "not understood: ("),
        ("while true; do echo a; done > /tmp/x", "not understood: >"),
        ("echo $(sleep 1)", "not understood: $( that waits"),
        ("echo 'a", "not understood: ' without its end"),
        ("if true; then", "not understood: an early end"),
        ("fi", "not understood: fi"),
        ("nginx -g 'daemon off;' & wait", "not understood: nginx"),
        ("echo ${A//a/b}", "not understood: ${A/"),
        ("find / -name x", "not understood: find"),
        ("$CMD", "exit 0"),
        ("${INDEX}", "not understood: 3"),
    ]);
}

#[test]
fn a_command_without_a_shell_is_taken_literally() {
    for (words, end) in [
        (vec!["sleep", "5"], "exit 0 at 5"),
        (vec!["/bin/false"], "exit 1"),
        (vec!["echo", "$INDEX", ">", "x"], "exit 0"),
        (vec!["test", "-d", "/tmp"], "exit 0"),
        (vec!["exit", "3"], "not understood: exit"),
        (vec!["/app/server"], "not understood: /app/server"),
        (vec![], "exit 0"),
    ] {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let shown = Program::of_words(&words).map_or_else(
            |why| why.to_string(),
            |program| {
                let mut machine = Machine::new(Start {
                    program: Arc::new(program),
                    arguments: Vec::new(),
                    environment: &[],
                    directory: "/".to_owned(),
                    seed: 1,
                    at: at(0),
                });
                show(machine.run(&mut Place::new().disk(), at(100)))
            },
        );
        assert_eq!(shown, end, "{words:?}");
    }
}

#[test]
fn random_numbers_repeat_with_the_seed() {
    let script = "echo $RANDOM $RANDOM; exit $(( $RANDOM / 16384 ))";
    let first = run(script);
    assert_eq!(run(script), first);
    let numbers: Vec<&str> = first.split(' ').collect();
    assert_ne!(numbers[0], numbers[1]);
}

#[test]
fn any_text_is_read_without_harm() {
    // Pieces of scripts, cut at every place: an error or a program, and an end of the machine.
    let script = "f() { trap 'x' TERM; }; while [ -n \"${A:-$(echo b)}\" ]; do case $A in *) break ;; esac; done && \
                  for i in $((1 + (2))) `echo c`; do [[ $i == 1 ]] || echo \"é\" >> /tmp/x 2>&1; done | cat";
    for end in (0..=script.len()).filter(|at| script.is_char_boundary(*at)) {
        run(&script[..end]);
        run(&script[end..]);
    }
}
