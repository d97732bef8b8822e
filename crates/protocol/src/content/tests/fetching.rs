//! Fetching in pieces: what is asked for, what is taken, and what a cut or a liar leaves.

use std::collections::BTreeSet;
use std::fs;

use super::super::unixfs;
use super::super::{
    CarWriter, ContentUri, DirStore, Durability, Fetch, add_dir, blocks, load, missing, resolve,
    write_car,
};
use super::*;

/// A provider's content: 5 files in 4 directories, 1.5 MB.
fn origin() -> (MemoryStore, Cid) {
    let place = tempfile::tempdir().unwrap();
    write_fixture_directory(place.path(), 1_500_000);
    let store = MemoryStore::default();
    let root = add_dir(&store, place.path(), &Limits::default()).unwrap().cid;
    (store, root)
}

fn order(store: &MemoryStore, root: &Cid) -> Vec<Cid> {
    let mut order = Vec::new();
    blocks(store, root, &Limits::default(), &mut |cid, _| {
        order.push(*cid);
        Ok(())
    })
    .unwrap();
    order
}

#[test]
fn each_block_is_asked_for_once_and_nothing_else() {
    let (origin, root) = origin();
    let store = MemoryStore::default();
    let mut fetch = Fetch::new(&ContentUri::from(root), Limits::default());
    let mut asked = Vec::new();
    loop {
        let wanted = fetch.wanted(&store, 2).unwrap();
        assert!(wanted.len() <= 2);
        assert_eq!(fetch.wanted(&store, 2).unwrap(), wanted, "asking again changes nothing");
        if wanted.is_empty() {
            break;
        }
        for cid in wanted {
            fetch.accept(&store, &cid, &load(&origin, &cid).unwrap()).unwrap();
            asked.push(cid);
        }
    }
    let distinct: BTreeSet<_> = asked.iter().copied().collect();
    assert_eq!(distinct.len(), asked.len());
    assert_eq!(distinct, order(&origin, &root).into_iter().collect());
    assert_eq!(missing(&store, &root, &Limits::default(), 1).unwrap(), []);
    assert_eq!(store.len(), origin.len());
    assert_eq!(
        fetch.bytes(),
        order(&store, &root).iter().map(|cid| store.size(cid).unwrap().unwrap()).sum::<u64>()
    );
}

#[test]
fn a_block_that_is_linked_twice_is_asked_for_once() {
    let origin = MemoryStore::default();
    let file = put_raw(&origin, b"twice");
    let root = put_node(&origin, unixfs::encode_directory(&[link("a", file), link("b", file)]));
    let store = MemoryStore::default();
    let mut fetch = Fetch::new(&ContentUri::from(root), Limits::default());
    assert_eq!(fetch.wanted(&store, 9).unwrap(), [root]);
    fetch.accept(&store, &root, &load(&origin, &root).unwrap()).unwrap();
    assert_eq!(fetch.wanted(&store, 9).unwrap(), [file]);
    fetch.accept(&store, &file, b"twice").unwrap();
    assert_eq!(fetch.wanted(&store, 9).unwrap(), []);
}

#[test]
fn one_at_a_time_it_asks_depth_first() {
    let (origin, root) = origin();
    let store = MemoryStore::default();
    let mut fetch = Fetch::new(&ContentUri::from(root), Limits::default());
    let mut asked = Vec::new();
    while let [cid] = fetch.wanted(&store, 1).unwrap()[..] {
        fetch.accept(&store, &cid, &load(&origin, &cid).unwrap()).unwrap();
        asked.push(cid);
    }
    assert_eq!(asked, order(&origin, &root));
}

#[test]
fn a_path_needs_only_what_it_leads_to() {
    let (origin, root) = origin();
    let uri = ContentUri::new(root, "sub/deep").unwrap();
    let store = MemoryStore::default();
    let mut fetch = Fetch::new(&uri, Limits::default());
    let mut asked = 0;
    while let [cid, ..] = fetch.wanted(&store, 16).unwrap()[..] {
        fetch.accept(&store, &cid, &load(&origin, &cid).unwrap()).unwrap();
        asked += 1;
    }
    // The root, `sub`, `deep`, and the file `x` in three blocks; not the other four files.
    assert_eq!((asked, store.len()), (6, 6));
    let deep = resolve(&store, &uri, &Limits::default()).unwrap();
    assert_eq!(Manifest::of_dag(&store, &deep, &Limits::default()).unwrap().files()[0].path, "x");

    for (path, error) in [
        ("sub/shallow", format!("there is no `sub/shallow` in {root}")),
        ("a.txt/x", "`a.txt` is not a directory".to_owned()),
    ] {
        let uri = ContentUri::new(root, path).unwrap();
        let fetched = Fetch::new(&uri, Limits::default()).wanted(&origin, 1).unwrap_err();
        assert_eq!(fetched.to_string(), error);
        let resolved = resolve(&origin, &uri, &Limits::default()).unwrap_err();
        assert_eq!(resolved.to_string(), error);
    }
}

#[test]
fn a_car_that_is_cut_off_is_resumed_block_by_block() {
    let (origin, root) = origin();
    let mut car = Vec::new();
    let written = write_car(&origin, &root, &mut car, &Limits::default()).unwrap();
    assert_eq!(written.bytes, car.len() as u64);
    let store = MemoryStore::default();
    let uri = ContentUri::from(root);
    let mut fetch = Fetch::new(&uri, Limits::default());
    let error = fetch.accept_car(&store, &mut &car[..car.len() / 2]).unwrap_err();
    let ContentError::TruncatedCar { blocks } = error else { panic!("{error:?}") };
    assert_eq!(store.len() as u64, blocks);

    // Another sitting, another process: it knows what is here from the store alone.
    let mut fetch = Fetch::new(&uri, Limits::default());
    let rest = fetch.wanted(&store, 100).unwrap();
    assert!(!rest.contains(&root));
    let accepted = fetch.accept_car(&store, &mut car.as_slice()).unwrap();
    assert_eq!(accepted + blocks, written.blocks, "blocks that are here were taken again");
    assert_eq!(fetch.wanted(&store, 1).unwrap(), []);
}

#[test]
fn a_gateway_cannot_plant_other_blocks() {
    let (origin, root) = origin();
    let uri = ContentUri::from(root);
    let planted = grist(1000, 9);

    let store = MemoryStore::default();
    let mut fetch = Fetch::new(&uri, Limits::default());
    fetch.wanted(&store, 16).unwrap();
    let error = fetch.accept(&store, &block_cid(&planted), &planted).unwrap_err();
    assert!(matches!(error, ContentError::UnwantedBlock { .. }), "{error:?}");
    let error = fetch.accept(&store, &root, &planted).unwrap_err();
    assert!(matches!(error, ContentError::BlockMismatch { cid } if cid == root), "{error:?}");
    assert!(store.is_empty());
    assert_eq!(fetch.wanted(&store, 16).unwrap(), [root], "the honest block is still wanted");

    let mut car = CarWriter::new(Vec::new(), &[root]).unwrap();
    car.write_block(&root, &load(&origin, &root).unwrap()).unwrap();
    car.write_block(&block_cid(&planted), &planted).unwrap();
    let car = car.finish().unwrap().0;
    let error = fetch.accept_car(&store, &mut car.as_slice()).unwrap_err();
    assert!(matches!(error, ContentError::UnwantedBlock { .. }), "{error:?}");
    assert_eq!(store.len(), 1);
}

#[test]
fn a_fetch_stays_within_its_budgets() {
    let (origin, root) = origin();
    for (limits, limit) in [
        (Limits { bytes_max: 1_499_999, ..Limits::default() }, Limit::Bytes(1_499_999)),
        (Limits { bytes_max: 1_500_000, ..Limits::default() }, Limit::Bytes(1_500_000)),
        (Limits { blocks_max: 3, ..Limits::default() }, Limit::Blocks(3)),
        (Limits { block_bytes_max: 1 << 19, ..Limits::default() }, Limit::BlockBytes(1 << 19)),
    ] {
        let store = MemoryStore::default();
        let mut fetch = Fetch::new(&ContentUri::from(root), limits);
        let error = loop {
            let wanted = match fetch.wanted(&store, 1) {
                Ok(wanted) => wanted,
                Err(error) => break error,
            };
            let [cid] = wanted[..] else { panic!("{limit:?} did not stop it") };
            if let Err(error) = fetch.accept(&store, &cid, &load(&origin, &cid).unwrap()) {
                break error;
            }
        };
        assert_limit(error, limit);
        let kept: u64 = order_kept(&store, &origin, &root);
        assert!(kept <= limits.bytes_max, "{kept} bytes were kept");
    }
}

fn order_kept(store: &MemoryStore, origin: &MemoryStore, root: &Cid) -> u64 {
    order(origin, root).iter().filter_map(|cid| store.size(cid).unwrap()).sum()
}

#[test]
fn a_store_in_a_directory_keeps_forgets_and_mends() {
    let place = tempfile::tempdir().unwrap();
    let (origin, root) = origin();
    for durability in [Durability::Synced, Durability::Cached] {
        let store = DirStore::open(place.path().join("blocks"), durability).unwrap();
        let mut car = Vec::new();
        write_car(&origin, &root, &mut car, &Limits::default()).unwrap();
        super::super::read_car(&store, &mut car.as_slice(), &Limits::default()).unwrap();
        assert_eq!(missing(&store, &root, &Limits::default(), 1).unwrap(), []);
        assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }
    // Opened again, everything is there, whatever the version of the CID.
    let store = DirStore::open(place.path().join("blocks"), Durability::Cached).unwrap();
    let v0 = Cid::new_v0(*root.hash()).unwrap();
    assert_eq!(store.get(&v0).unwrap(), store.get(&root).unwrap());
    assert!(store.has(&v0).unwrap());
    let expected = Manifest::of_dag(&origin, &root, &Limits::default()).unwrap();
    assert_eq!(Manifest::of_dag(&store, &root, &Limits::default()).unwrap(), expected);

    // The disk damages the root: it is fetched again, and mended.
    let digest = hex::encode(root.hash().digest());
    let file = store.root().join(&digest[..2]).join(&digest);
    let mut damaged = fs::read(&file).unwrap();
    damaged[3] ^= 1;
    fs::write(&file, &damaged).unwrap();
    let mut fetch = Fetch::new(&ContentUri::from(root), Limits::default());
    assert_eq!(fetch.wanted(&store, 16).unwrap(), [root]);
    fetch.accept(&store, &root, &load(&origin, &root).unwrap()).unwrap();
    assert_eq!(fetch.wanted(&store, 16).unwrap(), []);
    load(&store, &root).unwrap();

    let bytes = store.bytes().unwrap();
    assert!(store.remove(&v0).unwrap());
    assert!(!store.remove(&root).unwrap());
    assert_eq!(store.get(&root).unwrap(), None);
    let kept = block_cid(&grist(5, 5));
    let freed = store.sweep(|digest| digest.0 == kept.hash().digest()).unwrap();
    assert_eq!(freed, bytes - load(&origin, &root).unwrap().len() as u64 - 5);
    assert_eq!(store.bytes().unwrap(), 5);
    assert!(store.has(&kept).unwrap());
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let place = tempfile::tempdir().unwrap();
    let temporary = place.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::write(temporary.join("1-0"), b"old").unwrap();
    fs::write(temporary.join("2-0"), b"new").unwrap();
    let day_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    fs::File::options()
        .write(true)
        .open(temporary.join("1-0"))
        .unwrap()
        .set_modified(day_ago)
        .unwrap();
    DirStore::open(place.path(), Durability::Cached).unwrap();
    assert!(!temporary.join("1-0").exists());
    assert!(temporary.join("2-0").exists());
}
