package pace

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Busy is the CPU time that the whole machine has spent since it started, and the part that its host took from it; zeros where the kernel
// does not say.
func Busy() (spent, stolen time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return busy(line)
}

// busy reads "cpu user nice system idle iowait irq softirq steal …", in hundredths of a second.
func busy(line string) (spent, stolen time.Duration) {
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		d := time.Duration(n) * time.Second / 100
		switch {
		case err != nil, i == 4, i == 5, i > 8: // the name; idle, iowait; guests, which are in user
		case i == 8:
			stolen += d
		default:
			spent += d
		}
	}
	return spent, stolen
}
