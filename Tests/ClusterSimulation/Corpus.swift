/// Seeds that once broke an invariant, and how. Worlds change with the simulation, so a seed need not meet the same
/// schedule again.
enum Corpus {
    static let seeds: [UInt64] = [
        // A disk that had lost its end said where the logs differ, and was answered from what it once held, for ever.
        4,
        // A replacement at the minimum waited for a commit that only it could bring.
        6,
        // A copy rolled back by one start was taken for a start asked for twice.
        3,
        // The second scan of a torn log found nothing torn, and the copy was elected.
        111,
        // A late reading of the register was taken for a store restored from a backup.
        276,
        // A late message let a log in doubt pass for complete.
        3_519,
        // On a register restored from a backup a primary that nobody had confirmed took in a member, and the register
        // passed for the newer one.
        3_591, 4_856, 5_909,
        // A register was rebuilt with members that had not received what was committed on the old one.
        6_793,
        // Two copies of one node were in sync when both were gone, and too few were left to confirm the register.
        46, 7_273,
        // A primary that could not serve never read of the learner that could have helped it.
        291,
        // The second answer to a change that had been made was taken for a refusal of the next, and what the joiner of that
        // lacked was called committed.
        901_189,
        // What a copy held of an epoch that a restored register had begun kept it from every copy of what was committed.
        904_286,
        // Members whose logs differed behind what was committed said so for ever where the primary's log did not reach.
        1_000_981, 1_002_470,
        // On a restored register a copy made from empty said that it knew none newer, and a primary believed it.
        1_003_121, 1_010_898,
        // A primary whose successor had lost its disk was told by nobody, and waited for that one for ever.
        1_003_258,
        // Of the world: a copy that rotted became a member alone; one left while too few stayed that can confirm a register;
        // a copy that was emptied stayed named while another left its machine.
        2_000_302, 2_000_977, 2_003_125, 2_000_278,
        // A late answer to a question that a copy had asked before it was built anew was taken for that to its next one.
        7_000_062,
        // Of the world: a copy that did not count for what was committed without it gave it up on a restored register.
        9_036_071,
        // A shard was released while just enough copies had files of its halves; one of them lost its disk, and the halves
        // were never published.
        10_000_149, 10_000_248, 10_000_720, 10_001_170, 10_001_288,
        // A slow request began a split that had been given up, after another was wanted: that one's halves were published,
        // of which nobody had files.
        10_001_565,
        // The same plan was given up and begun again, and files from before, which lacked what was written in between, counted.
        10_010_810,
    ]
}
