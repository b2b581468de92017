//! Heads without end, and heads that stand for more than their bytes (CVE-2024-27316, CVE-2016-1544 and what followed).

use postern_tests::frames::{self, flag, frame, headers, kind};
use postern_tests::hpack::Block;

use super::foe::Foe;
use super::scene::Attack;

/// Streams at once.
const STREAMS: usize = 100;
/// Most fields of a head, of which `:authority` is one in our count.
const FIELDS: usize = 99;

/// Held by a destination that never answers. So many are under way at least; the others wait, since the heads of one
/// connection may take no more than so much together.
const fn held(name: &'static str, play: fn(&mut Foe), under_way: usize) -> Attack {
    Attack { name, settings: Some(&[]), play, ended: Some(false), under_way, rounds: 1 }
}

pub(super) const ATTACKS: &[Attack] = &[
    Attack::ended("heads without end in large frames", large_continuations),
    Attack::ended("heads without end in small frames", small_continuations),
    Attack::ended("heads without end in empty frames", empty_continuations),
    Attack::ended("fields of the static table beyond the bound", static_beyond_the_bound),
    Attack::ended("integers beyond measure", huge_integers),
    Attack::borne("sizes of the table without end", table_sizes),
    Attack::ended("text that is no Huffman code", bad_huffman),
    Attack::borne("heads that are too large and answered", refused_heads),
    held("short requests held open", short_held, STREAMS),
    held("many fields of the static table held open", static_held, 60),
    held("a remembered field named again and again, held open", remembered_held, 10),
    held("heads just below the bound held open", large_held, 12),
];

fn begin(foe: &mut Foe, block: &Block) {
    let stream = foe.open();
    foe.send(&frame(kind::HEADERS, flag::END_STREAM, stream, block.bytes()));
    foe.amid = true;
}

fn large_continuations(foe: &mut Foe) {
    begin(foe, &Block::short("/held"));
    let fields = Block::new().field("x", vec![b'a'; 4_000]);
    let bytes = fields.bytes().repeat(4);
    foe.flood(200, |foe, _| frame(kind::CONTINUATION, 0, foe.last(), &bytes));
}

fn small_continuations(foe: &mut Foe) {
    begin(foe, &Block::short("/held"));
    let field = Block::new().field("x", "a");
    foe.flood(10_000, |foe, _| frame(kind::CONTINUATION, 0, foe.last(), field.bytes()));
}

fn empty_continuations(foe: &mut Foe) {
    begin(foe, &Block::short("/held"));
    foe.flood(10_000, |foe, _| frame(kind::CONTINUATION, 0, foe.last(), b""));
}

fn static_beyond_the_bound(foe: &mut Foe) {
    let block = Block::short("/held").repeated(16, 16_000);
    foe.flood(100, |foe, _| foe.request(&block));
}

fn huge_integers(foe: &mut Foe) {
    foe.flood(1_000, |foe, _| foe.request(&Block::short("/held").raw(&[0xff; 2_000])));
}

/// Each is within what every peer begins with.
fn table_sizes(foe: &mut Foe) {
    let sizes = (0..4_000).fold(Block::new(), |block, at| block.resized(at % 4_096));
    for _ in 0..2 {
        foe.flood(20, |foe, _| foe.request(&sizes.clone().raw(Block::short("/quick").bytes())));
        foe.settle();
    }
}

fn bad_huffman(foe: &mut Foe) {
    let mut block = Block::short("/held").raw(&[0, 1, b'x', 0xff, 0x81, 0x0f]);
    block = block.raw(&[0xff; 2_000]);
    foe.flood(1_000, |foe, _| foe.request(&block));
}

fn refused_heads(foe: &mut Foe) {
    let block = Block::short("/held").repeated(16, 300);
    for _ in 0..3 {
        foe.flood(90, |foe, _| foe.request(&block));
        foe.settle();
    }
}

fn short_held(foe: &mut Foe) {
    foe.flood(STREAMS, |foe, _| foe.request(&Block::short("/held")));
}

/// `accept-encoding: gzip, deflate` costs a byte and stands for 29.
fn static_held(foe: &mut Foe) {
    let block = Block::short("/held").repeated(16, FIELDS - 1);
    foe.flood(STREAMS, |foe, _| foe.request(&block));
}

/// The table that every client may count on before it has heard of ours holds one field of 3 900 bytes.
fn remembered_held(foe: &mut Foe) {
    let field = Block::short("/held").remembered("x", vec![b'a'; 3_900]);
    let first = foe.request(&field.repeated(62, 3));
    foe.send(&first);
    let again = Block::short("/held").repeated(62, 4);
    foe.flood(STREAMS - 1, |foe, _| headers(foe.open(), &again, true));
}

fn large_held(foe: &mut Foe) {
    let block =
        (0..FIELDS - 2).fold(Block::short("/held"), |block, at| block.field(format!("x-{at:03}"), vec![b'a'; 120]));
    foe.flood(STREAMS, |foe, _| frames::headers(foe.open(), &block, true));
}
