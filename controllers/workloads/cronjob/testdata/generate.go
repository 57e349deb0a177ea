// Writes the tables that the parser's tests compare with: what robfig/cron v3.0.1, which upstream uses, makes of
// schedules. `go run generate.go` beside a go.mod that requires github.com/robfig/cron/v3 v3.0.1.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

var zones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/Los_Angeles",
	"America/Sao_Paulo", "America/Havana", "America/St_Johns", "America/Santiago", "Asia/Kathmandu",
	"Asia/Kolkata", "Asia/Tokyo", "Asia/Beirut", "Africa/Cairo", "Africa/Monrovia", "Australia/Lord_Howe",
	"Australia/Sydney", "Pacific/Chatham", "Antarctica/Troll",
	"Asia/Tehran", "America/Asuncion", "Etc/GMT+12", "Europe/Moscow",
}

// Local times around which clocks were turned. Days that a zone left out (Samoa, 2011-12-30) are not among them:
// there robfig/cron does not come to an end.
var moments = []struct{ zone, at string }{
	{"Europe/Berlin", "2025-03-30 02:00"}, {"Europe/Berlin", "2025-10-26 02:00"},
	{"America/New_York", "2026-03-08 02:00"}, {"America/New_York", "2026-11-01 01:00"},
	{"America/Sao_Paulo", "2017-10-15 00:00"}, {"America/Sao_Paulo", "2018-02-17 23:00"},
	{"America/Sao_Paulo", "2018-11-04 00:00"}, {"America/Havana", "2024-03-10 00:00"},
	{"America/Havana", "2024-11-03 00:00"}, {"Asia/Beirut", "2022-03-27 00:00"},
	{"Africa/Cairo", "2024-04-26 00:00"}, {"Africa/Cairo", "2024-10-31 23:00"},
	{"Australia/Lord_Howe", "2024-04-07 01:30"}, {"Australia/Lord_Howe", "2024-10-06 02:00"},
	{"Antarctica/Troll", "2024-03-31 00:00"}, {"Antarctica/Troll", "2024-10-27 02:00"},
	{"America/Asuncion", "2023-10-01 00:00"}, {"America/Asuncion", "2024-03-23 23:00"},
	{"Asia/Tehran", "2021-03-21 23:00"}, {"Asia/Tehran", "2021-09-21 23:00"},
	{"America/St_Johns", "2011-03-13 00:00"}, {"America/Santiago", "2024-09-07 23:00"},
	{"America/Santiago", "2024-04-06 23:00"}, {"Europe/Moscow", "2014-10-26 01:00"},
	{"Africa/Monrovia", "1972-01-06 23:00"}, {"Pacific/Chatham", "2024-09-29 02:00"},
}

var schedules = []string{
	"* * * * *", "0 * * * *", "30 * * * *", "*/20 * * * *", "0 0 * * *", "30 0 * * *", "59 23 * * *", "0 1 * * *",
	"30 1 * * *", "0 2 * * *", "30 2 * * *", "15,45 1-3 * * *", "0 3 * * *", "0 */2 * * *", "5 0-6/3 * * *",
	"0 0 1 * *", "0 0 * * 0", "30 0 * * sun", "30 2 * * SUN", "0 0 31 * *", "0 0 29 2 *", "0 0 13 * 5",
	"0 0 13 * ?", "0 0 */13 * 5", "0 0 * oct,nov *", "0 12 15 3/4 1-5", "@hourly", "@daily", "@weekly",
	"@monthly", "@yearly", "@every 1h", "@every 90s", "@every 1h30m10s",
}

var never = []string{"0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", ", * * * *", "* * * , *"}

var texts = []string{
	"", " ", "*", "* * * *", "* * * * * *", "* * * * *", "  *  *\t* * *  ", "? ? ? ? ?", "*/15 * * * *", "*/0 * * * *",
	"*/1 * * * *", "*/99 * * * *", "*/-1 * * * *", "*/x * * * *", "*/2/3 * * * *", "1-2-3 * * * *", "-1 * * * *",
	"60 * * * *", "59 * * * *", "* 24 * * *", "* 23 * * *", "* * 0 * *", "* * 32 * *", "* * 31 * *", "* * * 0 *",
	"* * * 13 *", "* * * * 7", "* * * * 6", "* * * * sun-sat", "* * * JAN-dec *", "* * * jan/2 *", "* * * * fri-mon",
	"* * * * foo", "* * * mond *", "5-1 * * * *", "1-5/2 * * * *", "5/10 * * * *", "1,2,3 * * * *", "1,,2 * * * *",
	", * * * *", "1, * * * *", "*-5 * * * *", "?/3 * * * *", "*,5 * * * *", "+5 * * * *", "0x1 * * * *", "1_0 * * * *",
	"99999999999999999999 * * * *", "9223372036854775807 * * * *", "*/9223372036854775807 * * * *", "1.5 * * * *",
	"L * * * *", "* * L * *", "* * 15W * *", "* * * * 5#2", "H * * * *", "@", "@hour", "@hourly ", "@HOURLY",
	"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "@reboot", "@every", "@every ",
	"@every 1h", "@every 1h30m", "@every 1.5h", "@every .5h", "@every 1d", "@every 5", "@every -5m", "@every 0",
	"@every 1ms", "@every 1µs", "@every 1500ms", "@every +3s", "@every s", "@every 1h 30m", "@every x", "@every 1..5s",
	"@every 9223372036854775807ns", "@every 9223372036854775808ns", "@every -9223372036854775808ns",
	"@every 2562047h47m16.854775807s", "@every 2562048h", "@every 1h-30m", "@every .s", "@every 3000000000000000000h",
	"TZ=Europe/Berlin 0 0 * * *", "CRON_TZ=Asia/Tokyo @daily", "CRON_TZ=Asia/Tokyo   0 0 * * *", "TZ=Nowhere 0 0 * * *",
	"TZ=../etc/passwd 0 0 * * *", "TZ=/etc/localtime 0 0 * * *", "TZ= 0 0 * * *", "TZ=0", "CRON_TZ=UTC", "TZ=UTC ",
	"TZ=europe/berlin 0 0 * * *", "tz=UTC 0 0 * * *", "TZ=UTC TZ=UTC * * * * *", "0 0 * * * TZ=UTC",
	"TZ=UTC @every 1h", "TZ=a\\b 0 0 * * *", "🕐 * * * *", "* * * * *\u00a0", "1 - 5 * * * *",
}

func parse(text string) (schedule cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("invalid schedule format: %v", r)
		}
	}()
	return cron.ParseStandard(text)
}

func create(name string) (*bufio.Writer, func()) {
	file, err := os.Create(name)
	if err != nil {
		panic(err)
	}
	out := bufio.NewWriter(file)
	return out, func() { out.Flush(); file.Close() }
}

func line(out *bufio.Writer, zone, text string, from time.Time, count int) {
	schedule, err := parse("TZ=" + zone + " " + text)
	if err != nil {
		panic(text + ": " + err.Error())
	}
	fmt.Fprintf(out, "%s\t%s\t%d\t", zone, text, from.Unix())
	for n := 0; n < count; n++ {
		from = schedule.Next(from)
		if from.IsZero() {
			fmt.Fprint(out, " never")
			break
		}
		fmt.Fprintf(out, " %d", from.Unix())
	}
	fmt.Fprintln(out)
}

func field(rng *rand.Rand, min, max int) string {
	one := func() string {
		a := min + rng.Intn(max-min+1)
		b := a + rng.Intn(max-a+1)
		switch rng.Intn(6) {
		case 0:
			return "*"
		case 1:
			return fmt.Sprintf("*/%d", 1+rng.Intn(max))
		case 2:
			return fmt.Sprintf("%d-%d", a, b)
		case 3:
			return fmt.Sprintf("%d-%d/%d", a, b, 1+rng.Intn(6))
		case 4:
			return fmt.Sprintf("%d/%d", a, 1+rng.Intn(12))
		}
		return fmt.Sprint(a)
	}
	parts := []string{one()}
	for rng.Intn(4) == 0 {
		parts = append(parts, one())
	}
	return strings.Join(parts, ",")
}

func main() {
	out, done := create("parse.tsv")
	for _, text := range texts {
		_, err := parse(text)
		if err == nil {
			fmt.Fprintf(out, "%q\tok\n", text)
		} else {
			fmt.Fprintf(out, "%q\t%q\n", text, err.Error())
		}
	}
	done()

	out, done = create("next.tsv")
	for _, moment := range moments {
		location, err := time.LoadLocation(moment.zone)
		if err != nil {
			panic(err)
		}
		at, err := time.ParseInLocation("2006-01-02 15:04", moment.at, location)
		if err != nil {
			panic(err)
		}
		for _, schedule := range schedules {
			for _, before := range []time.Duration{26 * time.Hour, 95 * time.Minute} {
				line(out, moment.zone, schedule, at.Add(-before), 4)
			}
		}
	}
	for _, schedule := range never {
		line(out, "Europe/Berlin", schedule, time.Unix(1767225600, 0), 1)
	}
	rng := rand.New(rand.NewSource(7))
	for n := 0; n < 1500; n++ {
		zone := zones[rng.Intn(len(zones))]
		text := strings.Join([]string{
			field(rng, 0, 59), field(rng, 0, 23), field(rng, 1, 31), field(rng, 1, 12), field(rng, 0, 6),
		}, " ")
		// 2000 to 2026
		from := time.Unix(946684800+rng.Int63n(26*365*24*3600), 0)
		line(out, zone, text, from, 3)
	}
	done()
}
