//! Writes a line chart as SVG: no script, no font of its own, readable on light and on dark ground.

use std::fmt::Write as _;

use super::spread::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 84.0;

/// Distinct in hue and in brightness, and clear of both grounds.
const COLOURS: [&str; 6] = ["#2f7ed8", "#e8743b", "#19a979", "#b353c9", "#c9a227", "#d64560"];

/// The ground is painted: where the page and the system disagree about dark and light, the text stays readable.
const STYLE: &str = "\
.ground{fill:#ffffff}.text{fill:#24292f}.soft{fill:#57606a}.grid{stroke:#d0d7de}
@media (prefers-color-scheme:dark){.ground{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9aa4af}.grid{stroke:#30363d}}
text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}";

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// Over it.
    pub(crate) title: String,
    /// Under it.
    pub(crate) x: String,
    /// Left of it.
    pub(crate) y: String,
    /// Whether equal steps to the right multiply instead of adding.
    pub(crate) is_log: bool,
    /// At most as many as there are colours.
    pub(crate) lines: Vec<Line>,
}

/// A line with a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// In the legend.
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// From figures to places on the sheet.
struct Scale {
    x_least: f64,
    x_most: f64,
    y_most: f64,
    is_log: bool,
}

impl Scale {
    fn of(chart: &Chart) -> Self {
        let points = || chart.lines.iter().flat_map(|line| line.points.iter());
        let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let most = points().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max);
        let highest = points().map(|(_, y)| *y).fold(0.0, f64::max);
        // Nothing that can't be drawn to scale: an empty chart has axes, a single point stands in the middle of nothing.
        let (x_least, x_most) = if least < most { (least, most) } else { (1.0, 10.0) };
        Self { x_least, x_most, y_most: ceiling(highest), is_log: chart.is_log && x_least > 0.0 }
    }

    fn x(&self, figure: f64) -> f64 {
        let along = if self.is_log {
            (figure / self.x_least).ln() / (self.x_most / self.x_least).ln()
        } else {
            (figure - self.x_least) / (self.x_most - self.x_least)
        };
        LEFT + along * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, figure: f64) -> f64 {
        HEIGHT - BOTTOM - figure / self.y_most * (HEIGHT - TOP - BOTTOM)
    }
}

/// The next round number: one digit with zeros, of which a fifth is round, too.
fn ceiling(figure: f64) -> f64 {
    if figure <= 0.0 || !figure.is_finite() {
        return 1.0;
    }
    let unit = 10_f64.powf(figure.log10().floor());
    let rounds = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().map(|step| step * unit);
    // A hair of tolerance: 5 is not to become 10 because of how it was computed.
    rounds.into_iter().find(|round| *round >= figure * (1.0 - 1e-9)).unwrap_or(figure)
}

/// The whole file.
pub(crate) fn draw(chart: &Chart) -> String {
    let scale = Scale::of(chart);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">
<style>{STYLE}</style>
<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="6"/>
<text class="text title" x="{LEFT}" y="26">{title}</text>
"#,
        title = escape(&chart.title)
    );
    draw_grid(&mut svg, chart, &scale);
    for (line, colour) in chart.lines.iter().zip(COLOURS) {
        draw_line(&mut svg, line, colour, &scale);
    }
    draw_legend(&mut svg, chart);
    svg + "</svg>\n"
}

fn draw_grid(svg: &mut String, chart: &Chart, scale: &Scale) {
    for step in 0..=5 {
        let figure = scale.y_most * f64::from(step) / 5.0;
        let (y, right) = (scale.y(figure), WIDTH - RIGHT);
        push(svg, &format!(r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#));
        push(svg, &label(LEFT - 8.0, y + 4.0, "end", &number(figure)));
    }
    for figure in marks(chart) {
        let x = scale.x(figure);
        push(svg, &label(x, HEIGHT - BOTTOM + 20.0, "middle", &number(figure)));
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    push(svg, &label(middle, HEIGHT - BOTTOM + 40.0, "middle", &escape(&chart.x)));
    let y = f64::midpoint(TOP, HEIGHT - BOTTOM);
    let turned = format!(
        r#"<text class="soft" x="16" y="{y:.1}" text-anchor="middle" transform="rotate(-90 16 {y:.1})">{}</text>"#,
        escape(&chart.y)
    );
    push(svg, &turned);
}

/// Every measured place on the lower axis, once; of many, about eight.
fn marks(chart: &Chart) -> Vec<f64> {
    let mut all: Vec<f64> = chart.lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x)).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let step = all.len().div_ceil(8).max(1);
    all.into_iter().step_by(step).collect()
}

fn draw_line(svg: &mut String, line: &Line, colour: &str, scale: &Scale) {
    let place = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", scale.x(*x), scale.y(*y));
    let places: Vec<String> = line.points.iter().map(place).collect();
    push(
        svg,
        &format!(
            r#"<polyline fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round" points="{}"/>"#,
            places.join(" ")
        ),
    );
    for (x, y) in &line.points {
        let (left, top) = (scale.x(*x), scale.y(*y));
        let said = format!("{}: {} at {}", escape(&line.name), number(*y), number(*x));
        push(
            svg,
            &format!(
                r#"<circle cx="{left:.1}" cy="{top:.1}" r="4" fill="{colour}"><title>{said}</title></circle>"#
            ),
        );
    }
}

fn draw_legend(svg: &mut String, chart: &Chart) {
    let mut x = LEFT;
    let y = HEIGHT - 18.0;
    for (line, colour) in chart.lines.iter().zip(COLOURS) {
        push(svg, &format!(r#"<circle cx="{:.1}" cy="{:.1}" r="5" fill="{colour}"/>"#, x + 5.0, y - 4.0));
        push(svg, &label(x + 16.0, y, "start", &escape(&line.name)));
        // Letters are about this wide; a legend that is a little too wide is only a little too wide.
        x += 40.0 + 7.5 * line.name.chars().count() as f64;
    }
}

fn label(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!(r#"<text class="soft" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#)
}

fn push(svg: &mut String, element: &str) {
    // Writing to a String can't fail.
    let _written = writeln!(svg, "{element}");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Line>) -> Chart {
        Chart {
            title: "a < b & c".to_owned(),
            x: "depth".to_owned(),
            y: "µs".to_owned(),
            is_log: true,
            lines,
        }
    }

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line { name: name.to_owned(), points: points.to_vec() }
    }

    #[test]
    fn points_lie_where_the_scale_says() {
        let svg = draw(&chart(vec![line("ours", &[(1.0, 0.0), (10.0, 25.0), (100.0, 50.0)])]));
        let left_to_right = r#"points="70.0,316.0 375.0,180.0 680.0,44.0""#;
        assert!(svg.contains(left_to_right), "{svg}");
        assert!(svg.contains("<title>ours: 25 at 10</title>"), "{svg}");
    }

    #[test]
    fn words_are_escaped_and_both_grounds_have_their_colours() {
        let svg = draw(&chart(vec![line("p<99>", &[(1.0, 1.0), (2.0, 2.0)])]));
        assert!(svg.contains("a &lt; b &amp; c</text>") && svg.contains("p&lt;99&gt;"), "{svg}");
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn a_chart_of_nothing_or_of_one_point_is_still_a_chart() {
        for lines in [vec![], vec![line("one", &[(5.0, 0.0)])], vec![line("none", &[])]] {
            let svg = draw(&chart(lines));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.ends_with("</svg>\n"));
        }
    }

    #[test]
    fn the_upper_end_is_a_round_number() {
        let found = [0.0, 0.9, 1.0, 1.2, 2.1, 4.9, 5.0, 51.0, 99.0].map(ceiling);
        assert_eq!(found, [1.0, 1.0, 1.0, 2.0, 3.0, 5.0, 5.0, 60.0, 100.0]);
    }
}
