//! QR codes as pictures.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

use crate::error::{Error, Result};

/// Light modules around a code that scanners want.
const MARGIN: usize = 4;

/// A code's modules, with its margin.
#[derive(Clone, Debug)]
pub struct Qr {
    width: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// A code that is still read with a sixth of it worn off.
    pub fn new(text: &str) -> Result<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M)
            .map_err(|error| Error::Internal(format!("a link does not fit a QR code: {error}")))?;
        let dark = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
        Ok(Self { width: code.width(), dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < self.width);
        inside(x).zip(inside(y)).is_some_and(|(x, y)| self.dark[y * self.width + x])
    }

    const fn side(&self) -> usize {
        self.width + 2 * MARGIN
    }

    /// An SVG picture that fills what it is put into.
    pub fn svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let length = (x..side).take_while(|x| self.is_dark(*x, y)).count();
                if length > 0 {
                    let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
                }
                x += length.max(1);
            }
        }
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{path}"/></svg>"##
        )
    }

    /// A black and white PNG picture of `size` pixels or a little more, so that each module is as large as any other.
    pub fn png(&self, size: usize) -> Result<Vec<u8>> {
        let scale = size.div_ceil(self.side()).max(1);
        let side = self.side() * scale;
        let mut rows = vec![0xff_u8; side.div_ceil(8) * side];
        for (y, row) in rows.chunks_mut(side.div_ceil(8)).enumerate() {
            for x in (0..side).filter(|x| self.is_dark(x / scale, y / scale)) {
                row[x / 8] &= !(0x80 >> (x % 8));
            }
        }
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side as u32, side as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&rows));
        written.map_err(|error| Error::Internal(format!("a QR code cannot be drawn: {error}")))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a scanner sees in a picture of grey values.
    fn scan(width: usize, grey: impl Fn(usize, usize) -> u8) -> String {
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, grey);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_picture_says_what_it_was_made_of() {
        let long = format!("https://wa.me/6281234567890?text={}", "%D8%A7%D9%84".repeat(40));
        for text in ["https://t.me/acme_bot?text=AC%20%28AC-02%29", &long] {
            let qr = Qr::new(text).unwrap();
            for size in [1, 512, 1000] {
                let file = qr.png(size).unwrap();
                let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
                decoder.set_transformations(png::Transformations::EXPAND);
                let mut reader = decoder.read_info().unwrap();
                let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
                let info = reader.next_frame(&mut pixels).unwrap();
                let width = info.width as usize;
                assert!(info.width == info.height && width >= size && width < size + 2 * qr.side());
                // A scanner wants more than one pixel for each module.
                if size > 1 {
                    assert_eq!(scan(width, |x, y| pixels[y * width + x]), text);
                }
            }
        }
    }

    #[test]
    fn the_drawing_has_the_modules_of_the_picture() {
        let qr = Qr::new("https://wa.me/62811?text=Genset%202").unwrap();
        let svg = qr.svg();
        let (_, path) = svg.rsplit_once("d=\"").unwrap();
        let mut dark = vec![false; qr.side() * qr.side()];
        for run in path.split('M').skip(1) {
            let numbers: Vec<usize> = run
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .collect();
            let [x, y, length, ..] = numbers[..] else { panic!("{run}") };
            dark[y * qr.side() + x..][..length].fill(true);
        }
        let scale = 4;
        let grey = |x: usize, y: usize| if dark[y / scale * qr.side() + x / scale] { 0 } else { 255 };
        assert_eq!(scan(qr.side() * scale, grey), "https://wa.me/62811?text=Genset%202");
    }
}
