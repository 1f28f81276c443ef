package ocr_test

import (
	"strings"
	"testing"

	"golang.org/x/image/font"

	"docstream/schemas"
	"docstream/schemas/document"
)

// texts are the blocks of a page as one string each: tables as their rows.
func texts(p *document.Page) (out []string) {
	for _, b := range p.Blocks {
		if b.Table != nil {
			out = append(out, tableText(b.Table))
			continue
		}
		out = append(out, b.Text)
	}
	return out
}

func TestLabelsAndValuesStayTogetherWhateverTheRegionsSay(t *testing.T) {
	labels := grid(350, []int{150, 700}, []string{"Name:", "Jonas Whitfield"}, []string{"City:", "Port Ellis"}, []string{"Vessel:", "Heron"})
	labels = append(labels, label{150, 305, "The clerk files every form and answers within three days."})
	p := read(t, reader(t), sheet(t, labels...), 150,
		schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 270, X1: 690, Y1: 470},
		schemas.LaidRegion{Kind: "text", Score: .9, X0: 690, Y0: 315, X1: 1100, Y1: 470})
	if got := strings.Join(texts(p), "\n"); got != "The clerk files every form and answers within three days.\nName:|Jonas Whitfield\nCity:|Port Ellis\nVessel:|Heron" {
		t.Error(got)
	}
}

func TestAFormGoesOnBesideLabelsWithTheirValues(t *testing.T) {
	labels := grid(350, []int{150, 480, 800}, []string{"Name:", "J. Whitfield", "Clerk: E. Brandt"}, []string{"City:", "Port Ellis", "Dock: Upper"}, []string{"Vessel:", "Heron", "Berth: A2"})
	p := read(t, reader(t), sheet(t, labels...), 150)
	if got := strings.Join(texts(p), "\n"); got != "Name:|J. Whitfield|Clerk: E. Brandt\nCity:|Port Ellis|Dock: Upper\nVessel:|Heron|Berth: A2" {
		t.Error(got)
	}
}

func TestTextOnBothSidesOfAFormStaysThere(t *testing.T) {
	labels := append(grid(350, []int{150, 700}, []string{"Rope", "12.50"}, []string{"Tar", "3.90"}, []string{"TOTAL", "16.40"}),
		label{150, 305, "HARBOUR STORES"}, label{150, 485, "Thank you for your visit"})
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 270, X1: 690, Y1: 500},
		schemas.LaidRegion{Kind: "text", Score: .9, X0: 690, Y0: 315, X1: 1100, Y1: 470})
	if got := strings.Join(texts(p), "\n"); got != "HARBOUR STORES\nRope|12.50\nTar|3.90\nTOTAL|16.40\nThank you for your visit" {
		t.Error(got)
	}
}

func TestColumnsThatAreNoRowsAreNotReadAcross(t *testing.T) {
	for name, rows := range map[string][][]string{
		"labels of their own": {{"Harbour Stores", "Invoice: 2041"}, {"14 Quay Street", "Date: 14 March"}, {"Port Ellis", "Due: 24 March"}},
		"an index":            {{"anchor", "pilot"}, {"beacon", "rope"}, {"canvas", "tar"}, {"ferry", "valve"}},
	} {
		p := read(t, reader(t), sheet(t, grid(300, []int{150, 700}, rows...)...), 150,
			schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 250, X1: 690, Y1: 480},
			schemas.LaidRegion{Kind: "text", Score: .9, X0: 690, Y0: 250, X1: 1100, Y1: 480})
		var left, right []string
		for _, r := range rows {
			left, right = append(left, r[0]), append(right, r[1])
		}
		if got, want := strings.Join(texts(p), " "), strings.Join(append(left, right...), " "); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestALineThatRunsOnIntoTheNextColumnIsCut(t *testing.T) {
	var labels []label
	left := []string{"The harbour master kept two", "ledgers, one for the ships and", "one for the weather. Nobody", "ever asked to see the pages,", "and so they stayed in there."}
	right := []string{"When the quay was rebuilt", "an engineer found numbers", "that described sixty years", "of storms better than any", "instrument could have done."}
	for i := range left { // one of the lines ends close to the other column
		end := []int{520, 520, 576, 520, 520}[i]
		labels = append(labels, label{end - font.MeasureString(face(t, 11), left[i]).Round(), 300 + 34*i, left[i]}, label{594, 300 + 34*i, right[i]})
	}
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "text", Score: .9, X0: 120, Y0: 260, X1: 1100, Y1: 480})
	if got, want := strings.Join(texts(p), " "), strings.Join(append(left, right...), " "); got != want {
		t.Errorf("%s", got)
	}
}

func TestRowsOfSeveralLinesAreOneRow(t *testing.T) {
	at := []int{150, 400, 950}
	labels := grid(300, at, []string{"Date", "Decision", "Who"})
	for i, r := range [][]string{{"3 March", "The lamps are cleaned", "and counted.", "Council"}, {"17 March", "A second pump is", "ordered.", "Brandt"}, {"9 May", "The ferry runs all", "winter.", "Council"}} {
		y := 360 + 100*i
		labels = append(labels, label{at[0], y + 17, r[0]}, label{at[1], y, r[1]}, label{at[1], y + 34, r[2]}, label{at[2], y + 17, r[3]})
	}
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "table", Score: .9, X0: 120, Y0: 260, X1: 1150, Y1: 640})
	if got := strings.Join(texts(p), "\n"); got != "Date|Decision|Who\n3 March|The lamps are cleaned and counted.|Council\n17 March|A second pump is ordered.|Brandt\n9 May|The ferry runs all winter.|Council" {
		t.Error(got)
	}
}

func TestALargeLineAtTheTopIsNoRunningHeader(t *testing.T) {
	labels := []label{{150, 300, "The storm began in the night"}, {150, 345, "and ended at noon."}, {150, 390, "Nobody was hurt."}}
	im := sheet(t, labels...)
	region := schemas.LaidRegion{Kind: "header", Score: .9, X0: 120, Y0: 60, X1: 1100, Y1: 140}
	for size, kind := range map[float64]string{11: document.Header, 18: document.Heading} {
		page := *im
		write(t, &page, size, label{150, 110, "Report of the Council"})
		p := read(t, reader(t), &page, 150, region)
		if len(p.Blocks) == 0 || p.Blocks[0].Kind != kind {
			t.Errorf("%.0f points: %+v", size, p.Blocks)
		}
	}
}

func TestRowsWithoutACellOfOneLineAreSeenByTheirGaps(t *testing.T) {
	at := []int{150, 400, 950}
	labels := grid(300, at, []string{"Date", "Decision", "Who"})
	for i, r := range [][]string{{"3", "March", "The lamps are cleaned", "and counted.", "Council", ""}, {"17 March", "", "A second pump is", "ordered.", "Elsa", "Brandt"}, {"9", "May", "The ferry runs all", "winter.", "Council", ""}} {
		y := 360 + 110*i
		labels = append(labels, label{at[1], y, r[2]}, label{at[1], y + 34, r[3]})
		for k, c := range []int{0, 4} {
			if r[c+1] == "" {
				labels = append(labels, label{at[2*k], y + 17, r[c]})
			} else {
				labels = append(labels, label{at[2*k], y, r[c]}, label{at[2*k], y + 34, r[c+1]})
			}
		}
	}
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "table", Score: .9, X0: 120, Y0: 260, X1: 1150, Y1: 680})
	if got := strings.Join(texts(p), "\n"); got != "Date|Decision|Who\n3 March|The lamps are cleaned and counted.|Council\n17 March|A second pump is ordered.|Elsa Brandt\n9 May|The ferry runs all winter.|Council" {
		t.Error(got)
	}
}

func TestRowsInGroupsStayRows(t *testing.T) {
	at := []int{150, 520, 900}
	var labels []label
	for i, y := range []int{300, 334, 368, 450, 484, 518, 600, 634, 668} {
		labels = append(labels, grid(y, at, []string{prices[1+i%3][0], strings.Repeat("7", 1+i%2), prices[1+i%3][2]})...)
	}
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "table", Score: .9, X0: 120, Y0: 260, X1: 1100, Y1: 700})
	if len(p.Blocks) != 1 || p.Blocks[0].Table == nil || p.Blocks[0].Table.Rows != 9 {
		t.Errorf("%v", texts(p))
	}
}

func TestWhatStandsAcrossTheColumnsOfATableIsNoRow(t *testing.T) {
	labels := append(grid(350, []int{150, 800}, []string{"Rope", "12.50"}, []string{"Tar", "3.90"}, []string{"Canvas", "7.10"}, []string{"TOTAL", "23.50"}),
		label{380, 305, "HARBOUR STORES of Port Ellis"}, label{380, 535, "Thank you for your visit"})
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "table", Score: .9, X0: 120, Y0: 270, X1: 1100, Y1: 550})
	if got := strings.Join(texts(p), "\n"); got != "HARBOUR STORES of Port Ellis\nRope|12.50\nTar|3.90\nCanvas|7.10\nTOTAL|23.50\nThank you for your visit" {
		t.Error(got)
	}
}

func TestTheHeadOfALetterDoesNotRunAlong(t *testing.T) {
	labels := []label{{150, 100, "Harbour Stores Ltd"}, {150, 140, "14 Quay Street"}, {150, 180, "Port Ellis"}, {150, 400, "The storm began in the night"}, {150, 440, "and ended at noon."}}
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "header", Score: .9, X0: 120, Y0: 60, X1: 1100, Y1: 200})
	if len(p.Blocks) == 0 || p.Blocks[0].Kind != document.Paragraph || p.Blocks[0].Text != "Harbour Stores Ltd 14 Quay Street Port Ellis" {
		t.Errorf("%+v", p.Blocks)
	}
}

func TestValuesOnTheLinesOfAFormAreNoFigure(t *testing.T) {
	labels := grid(350, []int{150, 700}, []string{"Name:", "Jonas Whitfield"}, []string{"City:", "Port Ellis"}, []string{"Vessel:", "Heron"})
	p := read(t, reader(t), sheet(t, labels...), 150, schemas.LaidRegion{Kind: "figure", Score: .9, X0: 690, Y0: 315, X1: 1150, Y1: 620})
	if got := strings.Join(texts(p), "\n"); got != "Name:|Jonas Whitfield\nCity:|Port Ellis\nVessel:|Heron" {
		t.Error(got)
	}
}
