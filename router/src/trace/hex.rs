//! Numbers as so many hexadecimal digits in lower case, without the formatting machinery.

/// Reads digits in lower case, up to 32 of them.
pub(super) fn read(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    digits.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Appends the last `N` digits of a number.
pub(super) fn write<const N: usize>(out: &mut Vec<u8>, number: u128) {
    let digit = |place: usize| b"0123456789abcdef"[(number >> (4 * (N - 1 - place)) & 0xf) as usize];
    out.extend_from_slice(&std::array::from_fn::<u8, N, _>(digit));
}
