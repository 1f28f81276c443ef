package sample

import (
	"fmt"
	"math/rand/v2"
)

// content is what stands on a page, in reading order.
type content struct {
	heading    string
	paragraphs []string
	list       []string
	table      [][]string // the first row is its head
}

// words returns the content of a page: written ones for the first three, later ones put together from the same bank by the seed.
func words(page int, seed uint64) content {
	if page <= len(written) {
		return written[page-1]
	}
	r := rand.New(rand.NewPCG(seed, uint64(page)))
	c := content{heading: fmt.Sprintf("Section %d: %s", page, pick(r, topics, 1)[0])}
	for range 2 {
		text := ""
		for i, s := range pick(r, sentences, 5) {
			if i > 0 {
				text += " "
			}
			text += s
		}
		c.paragraphs = append(c.paragraphs, text)
	}
	for i, s := range pick(r, tasks, 3) {
		c.list = append(c.list, fmt.Sprintf("%d. %s", i+1, s))
	}
	c.table = [][]string{{"Station", "Day", "Depth in cm", "Flow"}}
	for _, name := range pick(r, stations, 4) {
		c.table = append(c.table, []string{name, pick(r, days, 1)[0], fmt.Sprint(20 + r.IntN(180)), fmt.Sprintf("%d.%d", r.IntN(30), r.IntN(10))})
	}
	return c
}

// pick returns n different entries in random order.
func pick(r *rand.Rand, from []string, n int) []string {
	out := make([]string, n)
	for i, j := range r.Perm(len(from))[:n] {
		out[i] = from[j]
	}
	return out
}

var written = []content{
	{
		heading: "Report on the River Gauges",
		paragraphs: []string{
			"In the spring of this year the water board asked for a short report on the six gauges that stand along the upper river. " +
				"Each gauge was visited twice, once in dry weather and once after a day of rain, and its readings were compared with a " +
				"staff held by hand. The difference was never more than two centimetres, which is better than we had hoped.",
			"Two of the gauges need some care. The one below the mill is half covered by reeds, and the one at the old bridge was hit by " +
				"a floating trunk in winter, so that its plate leans a little to the east. Neither fault has changed the readings so far, " +
				"but both should be mended before the next flood season begins.",
		},
		list: []string{
			"1. Cut the reeds below the mill twice a year.",
			"2. Straighten the plate at the old bridge.",
			"3. Paint the numbers of all gauges again.",
		},
		table: [][]string{
			{"Gauge", "Dry day", "Wet day", "State"},
			{"Mill", "42", "118", "reeds"},
			{"Old bridge", "57", "131", "leaning"},
			{"Ferry house", "38", "97", "good"},
			{"Weir", "64", "152", "good"},
		},
	},
	{
		heading: "How the Readings Were Taken",
		paragraphs: []string{
			"Every reading was taken by two people who did not speak about it until both had written their number down. Where the numbers " +
				"differed by more than one centimetre, both went back and read again. This happened four times in twelve visits, and each " +
				"time the cause was a wave from a passing boat rather than a mistake of the reader.",
			"The wet readings were all made within five hours, from the source down to the weir, because the river falls quickly once the " +
				"rain has stopped. A later visit would have shown the lower gauges a day older than the upper ones, and the whole table " +
				"would then have told a story about our walk and not about the water.",
		},
		list: []string{
			"1. Stand upstream of the gauge and wait for calm water.",
			"2. Read the lower edge of the water line.",
			"3. Write the number and the hour at once.",
		},
		table: [][]string{
			{"Reader", "Visits", "Repeated", "Hours"},
			{"Anna", "12", "1", "19"},
			{"Jonas", "9", "2", "14"},
			{"Mirjam", "3", "1", "6"},
		},
	},
	{
		heading: "Costs and Next Steps",
		paragraphs: []string{
			"The work described above can be done by the board's own staff in four days. Only the paint has to be bought, because what is " +
				"left in the store has dried out. We have asked three shops for a price, and the table below lists what they answered, " +
				"with the time they need to deliver.",
			"We suggest that the board decides in its next meeting, so that the plate at the old bridge is straight again before autumn. " +
				"A second report can follow in a year, with the same gauges, the same staff and the same two days, so that the numbers of " +
				"both years may be laid side by side.",
		},
		list: []string{
			"1. Order the paint from the shop in the harbour.",
			"2. Ask the mill for a key to the lower gate.",
			"3. Plan the second visit for the month of May.",
		},
		table: [][]string{
			{"Shop", "Price", "Days", "Colour"},
			{"Harbour", "84.50", "3", "white"},
			{"Market street", "91.20", "1", "white"},
			{"Station", "79.90", "10", "grey"},
		},
	},
}

var topics = []string{
	"The Lower Weir", "Walking the Banks", "Birds Seen on the Way", "Bridges and Fords", "Letters from the Mill", "The Dry Summer",
	"Boats and Ferries", "Stones and Gravel", "A Map of the Wells", "Fish in the Ponds", "Fences and Gates", "The Winter Ice",
}

var sentences = []string{
	"The path along the water was dry and could be walked in an hour.",
	"Nobody had opened the upper gate since the middle of autumn.",
	"A heron stood in the shallow part and did not move until noon.",
	"The wooden planks of the small bridge were replaced last year.",
	"Below the ferry the river is so wide that a stone will not cross it.",
	"We measured the depth with a rope that was marked every ten centimetres.",
	"The farmer told us that the well had never run dry in his time.",
	"After the rain the water turned brown and carried leaves and twigs.",
	"Most of the gravel lies on the inner side of the long bend.",
	"In the evening the light made it hard to read the lower numbers.",
	"The mill takes its share of the water through a narrow stone channel.",
	"Two fences have fallen and should be mended before the cattle return.",
	"From the hill one sees the whole valley as far as the second weir.",
	"The boat was tied to a post that stood deeper than any of us expected.",
	"A thin sheet of ice covered the pond but not the moving water.",
	"Our map shows a ford here, yet the banks are now too steep for it.",
	"The school sends a class every summer to count the young fish.",
	"Old letters mention a flood that reached the door of the chapel.",
	"The keeper of the lock writes the hour of every boat in a green book.",
	"It took three days until the level was back to where it had been.",
}

var tasks = []string{
	"Clear the leaves from the grate before the first frost.",
	"Mark the new depth on the map of the lower valley.",
	"Write to the keeper of the lock about the spare key.",
	"Measure the width of the bend again in dry weather.",
	"Replace the rope of the ferry and test it with a load.",
	"Count the planks that are soft and order new ones.",
	"Show the readings of both years to the water board.",
	"Put a lamp near the gauge that is read in the evening.",
}

var stations = []string{"Mill", "Old bridge", "Ferry house", "Weir", "Long bend", "Chapel", "Upper gate", "Pond"}

var days = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
