//! Line plots as inline SVG. Colours come from the page's style sheet, by class, so that light and dark
//! are the page's business.

use std::fmt::Write;

use super::html::escape;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 42.0;

/// More points than pixels show nothing more; each of these stands for as many seconds.
const POINTS_MAX: usize = 800;

pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// Which of the style sheet's colours.
    pub colour: usize,
    pub dashed: bool,
}

/// How values become places.
pub enum Scale {
    /// From zero.
    Linear,
    /// By powers of ten; what is not above zero has no place.
    Logarithmic,
    /// Percentiles, by how little is left: 90, 99 and 99.9 are equally far apart.
    Percentile,
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.max(1e-9).log10(),
            Self::Percentile => -((100.0 - value).max(1e-5) / 100.0).log10(),
        }
    }

    /// The ends of the axis for values between these, and its marks.
    fn axis(&self, min: f64, max: f64) -> (f64, f64, Vec<f64>) {
        match self {
            Self::Linear => {
                let step = step(max);
                let count = (max / step).ceil().max(1.0);
                (0.0, count * step, (0..=count as u32).map(|n| f64::from(n) * step).collect())
            }
            Self::Logarithmic => {
                let low = self.place(min).floor() as i32;
                let high = (self.place(max).ceil() as i32).max(low + 1);
                let marks = (low..=high).map(|power| 10_f64.powi(power)).collect();
                (f64::from(low), f64::from(high), marks)
            }
            Self::Percentile => {
                let nines = self.place(max).ceil().clamp(1.0, 5.0);
                let mut marks = vec![0.0, 50.0];
                marks.extend((1..=nines as i32).map(|nine| 100.0 - 10_f64.powi(2 - nine)));
                (0.0, nines, marks)
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that makes four to nine marks.
fn step(max: f64) -> f64 {
    let raw = max.max(1e-9) / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| raw <= factor * power);
    factor.unwrap_or(10.0) * power
}

/// What an axis says: its scale, its name, and how a value reads there.
pub struct Axis {
    pub scale: Scale,
    pub name: &'static str,
    pub show: fn(f64) -> String,
}

/// Draws the lines with a legend under them; nothing when there is nothing to draw.
pub fn plot(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let points = || lines.iter().flat_map(|line| line.points.iter().filter(finite));
    let Some((x_min, x_max)) = ends(points().map(|point| point.0)) else { return String::new() };
    let Some((y_min, y_max)) = ends(points().map(|point| point.1)) else { return String::new() };
    let (left, right, x_marks) = x.scale.axis(x_min, x_max);
    let (low, high, y_marks) = y.scale.axis(y_min, y_max);
    // A line over time ends where the time ends, not at the next mark.
    let right = if matches!(x.scale, Scale::Linear) { x_max.max(1e-9) } else { right };
    let across = |value: f64| {
        let part = ((x.scale.place(value) - left) / (right - left)).clamp(0.0, 1.0);
        LEFT + part * (WIDTH - LEFT - RIGHT)
    };
    let down = |value: f64| {
        let part = ((y.scale.place(value) - low) / (high - low)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    };
    let mut out = format!(
        "<figure><figcaption>{}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escape(title),
        escape(title)
    );
    for mark in y_marks {
        let at = down(mark);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"y\" x=\"{}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            escape(&(y.show)(mark))
        );
    }
    for mark in x_marks.into_iter().filter(|mark| x.scale.place(*mark) <= right + 1e-9) {
        let at = across(mark);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
             <text class=\"x\" x=\"{at:.1}\" y=\"{}\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 16.0,
            escape(&(x.show)(mark))
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"x name\" x=\"{}\" y=\"{}\">{}</text>\
         <text class=\"name\" transform=\"rotate(-90)\" x=\"{}\" y=\"12\">{}</text>",
        (WIDTH + LEFT - RIGHT) / 2.0,
        HEIGHT - 8.0,
        escape(x.name),
        -(HEIGHT - BOTTOM + TOP) / 2.0,
        escape(y.name)
    );
    for line in lines {
        draw(&mut out, line, x, y, across, down);
    }
    out.push_str("</svg><ul class=\"legend\">");
    for line in lines.iter().filter(|line| !line.points.is_empty()) {
        let dashed = if line.dashed { " dashed" } else { "" };
        let name = escape(&line.name);
        let _ = write!(out, "<li class=\"c{}{dashed}\"><i></i>{name}</li>", line.colour);
    }
    out.push_str("</ul></figure>\n");
    out
}

fn draw(
    out: &mut String,
    line: &Line,
    x: &Axis,
    y: &Axis,
    across: impl Fn(f64) -> f64,
    down: impl Fn(f64) -> f64,
) {
    let finite = line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
    let points: Vec<(f64, f64)> = finite.copied().collect();
    let every = points.len().div_ceil(POINTS_MAX).max(1);
    // The highest of those that share a place: a peak must not vanish.
    let points: Vec<(f64, f64)> = points
        .chunks(every)
        .filter_map(|chunk| chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)))
        .collect();
    let dashed = if line.dashed { " dashed" } else { "" };
    let path: Vec<String> =
        points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), down(*y))).collect();
    let _ = writeln!(
        out,
        "<polyline class=\"c{}{dashed}\" points=\"{}\"/>",
        line.colour,
        path.join(" ")
    );
    // Few enough to be pointed at; and a single one would not be seen as a line.
    if points.len() <= 120 {
        for (at, value) in &points {
            let _ = writeln!(
                out,
                "<circle class=\"c{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"><title>{}: {} at {}</title></circle>",
                line.colour,
                across(*at),
                down(*value),
                escape(&line.name),
                escape(&(y.show)(*value)),
                escape(&(x.show)(*at)),
            );
        }
    }
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((min, max)) => Some((value.min(min), value.max(max))),
    })
}
