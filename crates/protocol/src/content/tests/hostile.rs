//! Content that a stranger made to do harm: every case is refused, by name, and leaves nothing behind.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use multihash::Multihash;

use super::super::block::dag_pb_cid;
use super::super::unixfs::{self, Part};
use super::super::{
    CarReader, CarWriter, ContentUri, Fetch, add_dir, cat, check_cid, list, load, put_verified,
    read_car, resolve, verify, walk, write_car,
};
use super::*;

fn directory(store: &MemoryStore, links: &[Link]) -> Cid {
    put_node(store, unixfs::encode_directory(links))
}

fn file(store: &MemoryStore, parts: &[(Cid, u64)]) -> Cid {
    let parts: Vec<Part> =
        parts.iter().map(|(cid, bytes)| Part { cid: *cid, bytes: *bytes, dag_bytes: 0 }).collect();
    put_node(store, unixfs::encode_file(&parts))
}

#[test]
fn a_lying_block_is_named_and_never_used() {
    let store = MemoryStore::default();
    let honest = put_raw(&store, b"honest");
    let victim = put_raw(&store, b"what was promised");
    let root = directory(&store, &[link("a", honest), link("b", victim)]);
    store.put(&victim, b"what was planted!").unwrap();

    for error in [
        refused(&store, &root, &Limits::default()),
        Manifest::of_dag(&store, &root, &Limits::default()).unwrap_err(),
        load(&store, &victim).unwrap_err(),
        cat(&store, &victim, &mut Vec::new(), &Limits::default()).unwrap_err(),
        write_car(&store, &root, Vec::new(), &Limits::default()).unwrap_err(),
        put_verified(&store, &victim, b"what was planted!", &Limits::default()).unwrap_err(),
    ] {
        assert!(matches!(error, ContentError::BlockMismatch { cid } if cid == victim), "{error:?}");
    }
}

#[test]
fn a_lying_block_in_a_car_is_named_and_not_kept() {
    let promised = block_cid(b"promised");
    let mut car = CarWriter::new(Vec::new(), &[promised]).unwrap();
    car.write_block(&block_cid(b"first"), b"first").unwrap();
    car.write_block(&promised, b"planted").unwrap();
    let car = car.finish().unwrap().0;

    let store = MemoryStore::default();
    let error = read_car(&store, &mut car.as_slice(), &Limits::default()).unwrap_err();
    assert!(matches!(error, ContentError::BlockMismatch { cid } if cid == promised), "{error:?}");
    assert!(!store.has(&promised).unwrap());
    assert_eq!(store.len(), 1, "what came before the lie is honest and stays");
}

#[test]
fn a_car_cut_off_anywhere_is_noticed_unless_it_ends_between_blocks() {
    let blocks = [grist(10, 1), grist(200, 2), grist(3, 3)];
    let mut car = CarWriter::new(Vec::new(), &[block_cid(&blocks[0])]).unwrap();
    for block in &blocks {
        car.write_block(&block_cid(block), block).unwrap();
    }
    let (car, written) = car.finish().unwrap();
    assert_eq!((written.blocks, written.bytes), (3, car.len() as u64));

    let section_bytes =
        |block: &Vec<u8>| 36 + block.len() + 1 + usize::from(block.len() + 36 > 127);
    let mut ends = vec![car.len() - blocks.iter().map(section_bytes).sum::<usize>()];
    for block in &blocks {
        ends.push(ends[ends.len() - 1] + section_bytes(block));
    }
    assert_eq!(ends[3], car.len());
    for length in 1..car.len() {
        let store = MemoryStore::default();
        let result = read_car(&store, &mut &car[..length], &Limits::default());
        match (ends.iter().position(|end| *end == length), result) {
            (Some(whole), Ok(imported)) => assert_eq!(imported.blocks, whole as u64),
            (None, Err(ContentError::TruncatedCar { blocks })) => {
                assert_eq!(store.len() as u64, blocks, "cut at {length}");
            }
            (_, result) => panic!("cut at {length}: {result:?}"),
        }
    }
    let error =
        read_car(&MemoryStore::default(), &mut [].as_slice(), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "not a valid CAR: it is empty");
}

#[test]
fn a_car_may_not_claim_what_it_likes() {
    let car = |header: &[u8], rest: &[u8]| {
        let mut car = vec![header.len() as u8];
        car.extend_from_slice(header);
        car.extend_from_slice(rest);
        car
    };
    let header = |text: &str| hex::decode(text.replace(' ', "")).unwrap();
    // {"roots": [], "version": 1}, which is valid, and what can be wrong with it.
    let valid = header("a2 65 726f6f7473 80 67 76657273696f6e 01");
    assert!(CarReader::new(car(&valid, &[]).as_slice(), &Limits::default()).is_ok());
    let one_exabyte = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let mut large_block = vec![];
    large_block.extend_from_slice(unsigned_varint::encode::u64(
        36 + super::super::BLOCK_BYTES_MAX + 1,
        &mut unsigned_varint::encode::u64_buffer(),
    ));
    large_block.extend_from_slice(&block_cid(b"").to_bytes());
    large_block.resize(large_block.len() + (2 << 20) + 1, 0);
    let cases: [(&str, Vec<u8>, Vec<u8>, &str); 10] = [
        (
            "version 2",
            header("a1 67 76657273696f6e 02"),
            vec![],
            "it is version 2; export it as version 1",
        ),
        ("no version", header("a1 65 726f6f7473 80"), vec![], "its header is not {roots, version}"),
        (
            "a key twice",
            header("a2 67 76657273696f6e 01 67 76657273696f6e 01"),
            vec![],
            "its header is not",
        ),
        (
            "bytes left over",
            header("a2 65 726f6f7473 80 67 76657273696f6e 01 00"),
            vec![],
            "its header is not",
        ),
        (
            "17 roots",
            header("a2 65 726f6f7473 91 67 76657273696f6e 01"),
            vec![],
            "it has more than 16 roots",
        ),
        (
            "a root of text",
            header("a2 65 726f6f7473 81 61 61 67 76657273696f6e 01"),
            vec![],
            "its roots are not CIDs",
        ),
        ("an empty section", valid.clone(), vec![0], "section 0 has 0 bytes"),
        (
            "an exabyte",
            valid.clone(),
            one_exabyte.to_vec(),
            "section 0 has 1152921504606846976 bytes",
        ),
        ("a length of 11 bytes", valid.clone(), vec![0x80; 11], "does not fit 64 bits"),
        ("a block without CID", valid.clone(), vec![2, 9, 9], "a block has no CID"),
    ];
    for (case, header, rest, reason) in cases {
        let car = car(&header, &rest);
        let error =
            read_car(&MemoryStore::default(), &mut car.as_slice(), &Limits::default()).unwrap_err();
        assert!(matches!(&error, ContentError::InvalidCar { .. }), "{case}: {error:?}");
        assert!(error.to_string().contains(reason), "{case}: {error}");
    }
    let car = car(&valid, &large_block);
    let error =
        read_car(&MemoryStore::default(), &mut car.as_slice(), &Limits::default()).unwrap_err();
    assert_limit(error, Limit::BlockBytes(2 << 20));

    let huge_header = [0xff, 0xff, 0x7f];
    let error = read_car(&MemoryStore::default(), &mut huge_header.as_slice(), &Limits::default())
        .unwrap_err();
    assert!(error.to_string().contains("1 to 4096 are allowed"), "{error}");
}

#[test]
fn a_car_stays_within_its_budgets() {
    let mut car = CarWriter::new(Vec::new(), &[]).unwrap();
    for number in 0..10u32 {
        let block = grist(100, number);
        car.write_block(&block_cid(&block), &block).unwrap();
    }
    let car = car.finish().unwrap().0;
    for (limits, limit) in [
        (Limits { bytes_max: 999, ..Limits::default() }, Limit::Bytes(999)),
        (Limits { blocks_max: 9, ..Limits::default() }, Limit::Blocks(9)),
        (Limits { block_bytes_max: 99, ..Limits::default() }, Limit::BlockBytes(99)),
    ] {
        let store = MemoryStore::default();
        assert_limit(read_car(&store, &mut car.as_slice(), &limits).unwrap_err(), limit);
        assert!(store.len() < 10);
    }
    let enough =
        Limits { bytes_max: 1000, blocks_max: 10, block_bytes_max: 100, ..Limits::default() };
    assert_eq!(
        read_car(&MemoryStore::default(), &mut car.as_slice(), &enough).unwrap().bytes,
        1000
    );
}

#[test]
fn names_that_are_paths_are_refused() {
    let store = MemoryStore::default();
    let file = put_raw(&store, b"root:x:0:0");
    let good = put_raw(&store, b"good");
    let limits = Limits::default();
    let long = "n".repeat(256);
    for (name, fault) in [
        ("", "it is empty"),
        (".", "it means another directory"),
        ("..", "it means another directory"),
        ("/", "it holds a slash"),
        ("/etc/passwd", "it holds a slash"),
        ("../x", "it holds a slash"),
        ("a/b", "it holds a slash"),
        ("nul\0", "it holds a zero byte"),
        (&long, "it is longer than 255 bytes"),
    ] {
        let root = directory(&store, &[link("good", good), link(name, file)]);
        let below = directory(&store, &[link("below", root)]);
        for error in [
            refused_unwritten(&store, &root, &limits),
            refused_unwritten(&store, &below, &limits),
            list(&store, &root, &limits).unwrap_err(),
            Manifest::of_dag(&store, &root, &limits).unwrap_err(),
        ] {
            let ContentError::InvalidName { name: refused, reason, .. } = error else {
                panic!("`{name}`: {error:?}")
            };
            assert_eq!(refused, name.chars().take(255).collect::<String>());
            assert_eq!(reason, fault);
        }
    }
    let unusual = [link("...", file), link("a\\b", file), link(&long[1..], good)];
    let root = directory(&store, &unusual);
    let place = tempfile::tempdir().unwrap();
    let exported = export(&store, &root, &place.path().join("out"), &limits).unwrap();
    assert_eq!(exported.files, 3);
}

#[test]
fn a_name_twice_is_refused() {
    let store = MemoryStore::default();
    let (a, b) = (put_raw(&store, b"a"), put_raw(&store, b"b"));
    let root = directory(&store, &[link("same", a), link("same", b)]);
    let error = refused_unwritten(&store, &root, &Limits::default());
    assert!(matches!(&error, ContentError::DuplicateName { path } if path == "same"), "{error:?}");
    // Nor does a path pick one of the two.
    let uri = ContentUri::new(root, "same").unwrap();
    let error = resolve(&store, &uri, &Limits::default()).unwrap_err();
    assert!(matches!(error, ContentError::DuplicateName { .. }), "{error:?}");
}

#[test]
fn budgets_hold_before_anything_is_written() {
    let store = MemoryStore::default();
    let leaf = put_raw(&store, &grist(100, 1));
    let mut deep = directory(&store, &[link("f", leaf)]);
    for _ in 0..3 {
        deep = directory(&store, &[link("d", deep)]);
    }
    let wide = directory(&store, &[link("a", leaf), link("b", leaf), link("c", leaf)]);
    let large = directory(&store, &[link("large", put_raw(&store, &grist(500, 2)))]);
    let cases = [
        (wide, Limits { bytes_max: 299, ..Limits::default() }, Limit::Bytes(299)),
        (wide, Limits { files_max: 3, ..Limits::default() }, Limit::Files(3)),
        (deep, Limits { depth_max: 2, ..Limits::default() }, Limit::Depth(2)),
        (large, Limits { block_bytes_max: 499, ..Limits::default() }, Limit::BlockBytes(499)),
        (wide, Limits { blocks_max: 2, ..Limits::default() }, Limit::Blocks(2)),
    ];
    for (root, limits, limit) in cases {
        assert_limit(refused_unwritten(&store, &root, &limits), limit);
        assert_limit(Manifest::of_dag(&store, &root, &limits).unwrap_err(), limit);
    }
    let enough =
        Limits { bytes_max: 300, files_max: 5, depth_max: 3, block_bytes_max: 200, blocks_max: 4 };
    for root in [wide, deep] {
        let place = tempfile::tempdir().unwrap();
        export(&store, &root, &place.path().join("out"), &enough).unwrap();
    }
}

#[test]
fn a_declared_size_is_refused_before_a_block_of_it_is_read() {
    let store = MemoryStore::default();
    // The parts are not in the store: reading one would be another error.
    let absent = block_cid(b"never stored");
    let root = file(&store, &[(absent, 1 << 40)]);
    assert_limit(refused_unwritten(&store, &root, &Limits::default()), Limit::Bytes(64 << 30));
    let mut fetch = Fetch::new(&ContentUri::from(root), Limits::default());
    assert_limit(fetch.wanted(&store, 1).unwrap_err(), Limit::Bytes(64 << 30));
}

#[test]
fn a_size_that_is_a_lie_is_found() {
    let store = MemoryStore::default();
    let leaf = put_raw(&store, &grist(100, 1));
    let inner = file(&store, &[(leaf, 100), (leaf, 100)]);
    for (lying, liar) in [
        (file(&store, &[(leaf, 99)]), leaf),
        (file(&store, &[(leaf, 100), (leaf, 101)]), leaf),
        (file(&store, &[(inner, 100)]), inner),
        (file(&store, &[(inner, 0), (leaf, 100)]), inner),
    ] {
        let error = refused(&store, &lying, &Limits::default());
        assert!(
            matches!(error, ContentError::SizeMismatch { cid, .. } if cid == liar),
            "{error:?}"
        );
        let root = directory(&store, &[link("f", lying)]);
        assert!(Manifest::of_dag(&store, &root, &Limits::default()).is_err());
    }
    // A node whose own sum is wrong: {type: file, filesize: 7, blocksizes: [100]}.
    let mut node = vec![0x12, 40, 0x0a, 36];
    node.extend_from_slice(&leaf.to_bytes());
    node.extend_from_slice(&[0x12, 0, 0x0a, 6, 0x08, 2, 0x18, 7, 0x20, 100]);
    let root = put_dag_pb(&store, &node);
    let error = refused(&store, &root, &Limits::default());
    assert!(
        matches!(error, ContentError::SizeMismatch { declared: 7, actual: 100, .. }),
        "{error:?}"
    );
}

#[test]
fn a_small_dag_cannot_mean_endless_work() {
    let store = MemoryStore::default();
    // Each level links the one below a hundred times: 100^16 empty files, or parts of one empty file.
    let empty = put_raw(&store, b"");
    let mut parts = empty;
    let mut files = directory(&store, &[]);
    for _ in 0..15 {
        parts = file(&store, &[(parts, 0); 100]);
        let links: Vec<Link> =
            (0..100).map(|number| link(&format!("{number:02}"), files)).collect();
        files = directory(&store, &links);
    }
    let limits = Limits { blocks_max: 50_000, ..Limits::default() };
    assert_limit(refused(&store, &parts, &limits), Limit::Blocks(50_000));
    let limits = Limits { files_max: 5_000, ..Limits::default() };
    assert_limit(refused(&store, &files, &limits), Limit::Files(5_000));
    // The blocks themselves are few, and are sent once each.
    let sent = write_car(&store, &parts, Vec::new(), &Limits::default()).unwrap();
    assert_eq!(sent.blocks, 16);

    let mut chain = file(&store, &[(empty, 0)]);
    for _ in 0..16 {
        chain = file(&store, &[(chain, 0)]);
    }
    assert_limit(refused(&store, &chain, &Limits::default()), Limit::NodeDepth(16));
}

#[test]
fn nodes_that_are_not_unixfs_are_refused() {
    let store = MemoryStore::default();
    let leaf = put_raw(&store, b"leaf");
    let linked = |unixfs: &[u8]| {
        let mut node = vec![0x12, 40, 0x0a, 36];
        node.extend_from_slice(&leaf.to_bytes());
        node.extend_from_slice(&[0x12, 0, 0x0a, unixfs.len() as u8]);
        node.extend_from_slice(unixfs);
        node
    };
    // A directory with one link: these bytes for its CID, a name of this length.
    let link_of = |cid: &[u8], name_bytes: usize| {
        let mut link = vec![0x0a, cid.len() as u8];
        link.extend_from_slice(cid);
        let name_length =
            unsigned_varint::encode::usize(name_bytes, &mut Default::default()).to_vec();
        link.extend_from_slice(
            &[&[0x12], name_length.as_slice(), &vec![b'n'; name_bytes]].concat(),
        );
        let link_length =
            unsigned_varint::encode::usize(link.len(), &mut Default::default()).to_vec();
        [&[0x12], link_length.as_slice(), &link, &[0x0a, 2, 0x08, 1]].concat()
    };
    let honest = put_dag_pb(&store, &link_of(&leaf.to_bytes(), 1));
    assert_eq!(list(&store, &honest, &Limits::default()).unwrap().len(), 1);
    let padded_cid = [leaf.to_bytes(), vec![0]].concat();
    let cases: [(&str, Vec<u8>, &str); 16] = [
        ("a CID with more behind it", link_of(&padded_cid, 1), "one of its links is malformed"),
        ("a name to pad with", link_of(&leaf.to_bytes(), 259), "one of its links is malformed"),
        (
            "a time to pad with",
            [&[0x0a, 21, 0x08, 1, 0x42, 17][..], &[0; 17]].concat(),
            "its UnixFS data is malformed",
        ),
        (
            "bits to pad with",
            [&[0x0a, 41, 0x08, 5, 0x28, 0x22, 0x30, 8, 0x12, 33][..], &[0; 33]].concat(),
            "the bits of a sharded directory are more than its fanout",
        ),
        ("nothing", vec![], "it has no UnixFS data"),
        ("noise", grist(50, 1), "it is not dag-pb"),
        ("data without type", vec![0x0a, 2, 0x18, 0], "it has no type"),
        ("a type of the future", vec![0x0a, 2, 0x08, 9], "UnixFS type 9 is unknown"),
        ("metadata", vec![0x0a, 2, 0x08, 3], "metadata nodes are not supported"),
        ("data twice", vec![0x0a, 2, 0x08, 1, 0x0a, 2, 0x08, 1], "it is not dag-pb"),
        ("a type twice", vec![0x0a, 4, 0x08, 1, 0x08, 1], "its UnixFS data is malformed"),
        ("a field to pad with", vec![0x0a, 5, 0x08, 1, 0x7a, 1, 0], "its UnixFS data is malformed"),
        ("a directory with data", vec![0x0a, 5, 0x08, 1, 0x12, 1, 7], "a directory holds data"),
        (
            "a link without CID",
            vec![0x12, 2, 0x12, 0, 0x0a, 2, 0x08, 1],
            "one of its links is malformed",
        ),
        ("a part without size", linked(&[0x08, 2]), "it declares a size for some parts only"),
        ("a length beyond the block", vec![0x0a, 0xff, 0x7f, 0x08, 1], "it is not dag-pb"),
    ];
    for (case, node, reason) in cases {
        let root = put_dag_pb(&store, &node);
        let error = refused(&store, &root, &Limits::default());
        assert!(
            matches!(error, ContentError::InvalidNode { cid, .. } if cid == root),
            "{case}: {error:?}"
        );
        assert!(error.to_string().contains(reason), "{case}: {error}");
    }
    let of_directory = directory(&store, &[link("f", leaf)]);
    let root = file(&store, &[(of_directory, 4)]);
    let error = refused(&store, &root, &Limits::default());
    assert!(
        matches!(error, ContentError::InvalidNode { cid, .. } if cid == of_directory),
        "{error:?}"
    );
}

#[test]
fn symbolic_links_in_content_are_refused() {
    let store = MemoryStore::default();
    let symlink = put_dag_pb(&store, &[0x0a, 8, 0x08, 4, 0x12, 4, b'/', b'e', b't', b'c']);
    let root = directory(&store, &[link("etc", symlink)]);
    let error = refused(&store, &root, &Limits::default());
    assert!(matches!(&error, ContentError::Symlink { path } if path == "etc"), "{error:?}");
    assert!(cat(&store, &symlink, &mut Vec::new(), &Limits::default()).is_err());
}

#[test]
fn hashes_that_cannot_be_trusted_are_refused_by_name() {
    let store = MemoryStore::default();
    let digest = [7; 64];
    let cases = [
        (0x11, 20, "sha1"),
        (0x1e, 32, "blake3"),
        (0x13, 64, "sha2-512"),
        (0x12, 16, "a sha2-256 cut to 16 bytes"),
        (0x9999, 32, "the unknown hash 0x9999"),
    ];
    for (code, length, name) in cases {
        let cid = Cid::new_v1(0x55, Multihash::wrap(code, &digest[..length]).unwrap());
        let root = directory(&store, &[link("f", cid)]);
        for error in [
            check_cid(&cid).unwrap_err(),
            verify(&cid, b"").unwrap_err(),
            refused(&store, &root, &Limits::default()),
            Fetch::new(&ContentUri::from(root), Limits::default()).wanted(&store, 1).unwrap_err(),
        ] {
            assert!(matches!(&error, ContentError::UnsupportedHash { .. }), "{error:?}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    let sha256 = *block_cid(b"").hash();
    let error = check_cid(&Cid::new_v1(0x71, sha256)).unwrap_err();
    assert!(error.to_string().contains("holds dag-cbor"), "{error}");
}

#[test]
fn an_identity_cid_is_its_own_block() {
    let inline = |bytes: &[u8]| Cid::new_v1(0x55, Multihash::wrap(0, bytes).unwrap());
    let store = MemoryStore::default();
    let (tiny, longest) = (inline(b"tiny"), inline(&[7; 64]));
    let root = directory(&store, &[link("longest", longest), link("tiny", tiny)]);
    assert_eq!(load(&store, &tiny).unwrap(), b"tiny");
    verify(&tiny, b"tiny").unwrap();
    assert!(verify(&tiny, b"other").is_err());
    put_verified(&store, &tiny, b"tiny", &Limits::default()).unwrap();
    assert_eq!(store.len(), 1, "only the directory needs a place");
    let manifest = Manifest::of_dag(&store, &root, &Limits::default()).unwrap();
    assert_eq!(manifest.bytes(), 68);
    let sent = write_car(&store, &root, Vec::new(), &Limits::default()).unwrap();
    assert_eq!(sent.blocks, 1);
}

#[test]
fn shards_that_do_not_follow_the_hash_are_refused() {
    let store = MemoryStore::default();
    let file = put_raw(&store, b"file");
    let shard = |slots: &[(u64, Link)]| put_node(&store, unixfs::encode_shard(256, slots));
    // The first byte of the hash of "file-0" is not 0x01; find out which it is, then use another.
    let fitting: Vec<u64> = (0..256)
        .filter(|slot| {
            list(&store, &shard(&[(*slot, link("file-0", file))]), &Limits::default()).is_ok()
        })
        .collect();
    let &[slot] = fitting.as_slice() else { panic!("{fitting:?}") };
    let other = (slot + 1) % 256;
    let misplaced = shard(&[(other, link("file-0", file))]);
    let error = refused(&store, &misplaced, &Limits::default());
    assert!(error.to_string().contains("not its name's"), "{error}");
    let limits = Limits { files_max: 1, ..Limits::default() };
    let placed = shard(&[(slot, link("file-0", file))]);
    assert_limit(refused_unwritten(&store, &placed, &limits), Limit::Files(1));

    let (low, high) = (slot.min(other), slot.max(other));
    let unordered = shard(&[(high, link("x", file)), (low, link("y", file))]);
    let twice = shard(&[(slot, link("file-0", file)), (slot, link("file-0", file))]);
    for root in [unordered, twice] {
        let error = refused(&store, &root, &Limits::default());
        assert!(error.to_string().contains("numbered and in order"), "{error}");
    }
    let not_a_shard = shard(&[(slot, link("", directory(&store, &[])))]);
    let error = refused(&store, &not_a_shard, &Limits::default());
    assert!(error.to_string().contains("it is none"), "{error}");

    let mut endless = shard(&[(slot, link("file-0", file))]);
    for _ in 0..8 {
        endless = shard(&[(slot, link("", endless))]);
    }
    let error = refused(&store, &endless, &Limits::default());
    assert!(error.to_string().contains("more levels than a hash has bits"), "{error}");
    let uri = ContentUri::new(endless, "file-0").unwrap();
    assert!(resolve(&store, &uri, &Limits::default()).is_err());

    // {type: shard, hashType: murmur3, fanout}.
    let mut node = vec![0x0a, 6, 0x08, 5, 0x28, 0x22, 0x30, 0];
    for fanout in [0u8, 1, 4, 7, 100] {
        node[7] = fanout;
        let error = refused(&store, &put_dag_pb(&store, &node), &Limits::default());
        assert!(error.to_string().contains("a power of two from 8 to 1024"), "{error}");
    }
    node[5] = 0x12;
    let error = refused(&store, &put_dag_pb(&store, &node), &Limits::default());
    assert!(error.to_string().contains("must be hashed with murmur3"), "{error}");
}

#[test]
fn an_export_goes_nowhere_else() {
    let store = MemoryStore::default();
    let root = directory(&store, &[link("f", put_raw(&store, b"new"))]);
    let place = tempfile::tempdir().unwrap();
    let (elsewhere, out) = (place.path().join("elsewhere"), place.path().join("out"));
    fs::create_dir(&elsewhere).unwrap();

    // What exists is never overwritten: a directory, a file, a link even when it dangles.
    fs::create_dir(&out).unwrap();
    assert!(matches!(
        export(&store, &root, &out, &Limits::default()).unwrap_err(),
        ContentError::DestinationExists { .. }
    ));
    fs::remove_dir(&out).unwrap();
    fs::write(&out, b"old").unwrap();
    assert!(matches!(
        export(&store, &root, &out, &Limits::default()).unwrap_err(),
        ContentError::DestinationExists { .. }
    ));
    assert_eq!(fs::read(&out).unwrap(), b"old");
    fs::remove_file(&out).unwrap();
    for target in [elsewhere.clone(), place.path().join("nowhere")] {
        std::os::unix::fs::symlink(target, &out).unwrap();
        assert!(matches!(
            export(&store, &root, &out, &Limits::default()).unwrap_err(),
            ContentError::DestinationExists { .. }
        ));
        fs::remove_file(&out).unwrap();
    }

    // A link that lies in wait where the content is collected is removed, not followed.
    std::os::unix::fs::symlink(&elsewhere, place.path().join(".out.partial")).unwrap();
    export(&store, &root, &out, &Limits::default()).unwrap();
    assert_eq!(fs::read(out.join("f")).unwrap(), b"new");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let mut left: Vec<_> =
        fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["elsewhere", "out"]);
}

#[test]
fn an_output_may_hold_files_and_directories_only() {
    let place = tempfile::tempdir().unwrap();
    let store = MemoryStore::default();
    let limits = Limits::default();
    let both = |expected: &str| {
        let added = add_dir(&store, place.path(), &limits).unwrap_err();
        let listed = Manifest::of_dir(place.path(), &limits).unwrap_err();
        for error in [added, listed] {
            assert!(error.to_string().contains(expected), "{error}");
        }
    };
    write_file(place.path(), "sub/secret", b"secret");
    for target in ["/etc/passwd", "sub/secret", "nowhere"] {
        let path = place.path().join("sub/link");
        std::os::unix::fs::symlink(target, &path).unwrap();
        both("`sub/link` is a symbolic link; replace it by the file that it points to");
        fs::remove_file(path).unwrap();
    }
    let socket = place.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    both("`socket` is neither a file nor a directory; remove it");
    drop(listener);
    fs::remove_file(socket).unwrap();

    let name = place.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(&name, b"").unwrap();
    both("it is not UTF-8");
    fs::remove_file(name).unwrap();

    let link = place.path().join("link");
    std::os::unix::fs::symlink(place.path().join("sub"), &link).unwrap();
    assert!(matches!(add_dir(&store, &link, &limits).unwrap_err(), ContentError::Symlink { .. }));
    let file = place.path().join("sub/secret");
    let error = add_dir(&store, &file, &limits).unwrap_err();
    assert!(matches!(error, ContentError::WrongKind { wanted: "directory", .. }), "{error:?}");
}

#[test]
fn an_output_stays_within_its_budgets() {
    let place = tempfile::tempdir().unwrap();
    write_file(place.path(), "a/b/c", &grist(100, 1));
    let refusals = |limits: Limits, limit: Limit| {
        let store = MemoryStore::default();
        assert_limit(add_dir(&store, place.path(), &limits).unwrap_err(), limit);
        assert_limit(Manifest::of_dir(place.path(), &limits).unwrap_err(), limit);
        assert!(store.is_empty());
    };
    let fit = Limits { bytes_max: 100, files_max: 4, depth_max: 2, ..Limits::default() };
    refusals(Limits { bytes_max: 99, ..fit }, Limit::Bytes(99));
    refusals(Limits { files_max: 3, ..fit }, Limit::Files(3));
    refusals(Limits { depth_max: 1, ..fit }, Limit::Depth(1));
    add_dir(&MemoryStore::default(), place.path(), &fit).unwrap();
    Manifest::of_dir(place.path(), &fit).unwrap();

    // A hole of a terabyte takes no disk; it must not take a day either.
    fs::remove_dir_all(place.path().join("a")).unwrap();
    let hole = fs::File::create(place.path().join("hole")).unwrap();
    hole.set_len(1 << 40).unwrap();
    refusals(Limits::default(), Limit::Bytes(64 << 30));
}

#[test]
fn a_manifest_from_a_stranger_is_checked() {
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let file =
        |path: &str, size: u64| format!(r#"{{"path":"{path}","sha256":"{sha256}","size":{size}}}"#);
    let manifest = |files: &[String]| format!(r#"{{"files":[{}]}}"#, files.join(","));
    let read = |json: &str, limits: &Limits| Manifest::from_json(json.as_bytes(), limits);
    let limits = Limits { files_max: 3, bytes_max: 10, ..Limits::default() };

    let valid = manifest(&[file("a", 1), file("b/c", 9)]);
    assert_eq!(read(&valid, &limits).unwrap().canonical_json(), valid.as_bytes());
    for invalid in [
        manifest(&[file("b", 1), file("a", 1)]),
        manifest(&[file("a", 1), file("a", 1)]),
        manifest(&[file("../a", 1)]),
        manifest(&[file("/a", 1)]),
        manifest(&[file("", 1)]),
        manifest(&[file("a", 1)]).replace("e3b0", "E3B0"),
        manifest(&[file("a", 1)]).replace("e3b0", ""),
        manifest(&[file("a", 1)]).replace("\"files\"", "\"more\":1,\"files\""),
        "[]".to_owned(),
    ] {
        assert!(
            matches!(read(&invalid, &limits), Err(ContentError::InvalidManifest { .. })),
            "{invalid}"
        );
    }
    assert_limit(read(&manifest(&[file("a", 11)]), &limits).unwrap_err(), Limit::Bytes(10));
    let many = manifest(&[file("a", 0), file("b", 0), file("c", 0), file("d", 0)]);
    assert_limit(read(&many, &limits).unwrap_err(), Limit::Files(3));
}

#[test]
fn a_walk_tells_nothing_about_what_it_refuses() {
    struct Silent;
    impl super::super::Visitor for Silent {
        fn file(&mut self, path: &str, _bytes: u64) -> super::super::Result<()> {
            panic!("was told about `{path}`")
        }
        fn content(&mut self, _part: &[u8]) -> super::super::Result<()> {
            panic!("was given content")
        }
    }
    let store = MemoryStore::default();
    let file = put_raw(&store, b"x");
    let root = directory(&store, &[link("fine", file), link("..", file)]);
    walk(&store, &root, &Limits::default(), &mut Silent).unwrap_err();
    let missing = dag_pb_cid(Sha256Digest([1; 32]));
    let error = walk(&store, &missing, &Limits::default(), &mut Silent).unwrap_err();
    assert!(matches!(error, ContentError::MissingBlock { cid } if cid == missing));
}
